"""A village church at dusk: the last sun on the tower, lamps behind the windows, bare trees."""

from __future__ import annotations

import itertools

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from assets.samples.render.noise import fbm, noise, uniform
from assets.samples.render.shot import Shot, photograph
from assets.samples.render.solids import box, common, union
from assets.samples.render.trace import Camera, Part, Scene, Surface, sky
from assets.samples.render.vectors import Array, colour, length, mix, smoothstep, unit, vec

HOME = Camera(eye=(13.2, 1.7, 16.0), target=(0.25, 6.0, -1.2), fov=43.5)
SUN = (0.86, 0.20, 0.28)
BAY = 1.9  # distance between two windows of the nave
LAMP = vec(1.0, 0.55, 0.18)


def render(shot: Shot, size: int) -> Image.Image:
    """The church on its lawn before the evening sky and far bare trees."""
    scene = Scene(
        parts=(
            Part(_walls, shot.paint(_stone), ((0.0, 4.0, -2.4), 7.6)),
            Part(_roofs, shot.paint(_slate), ((0.0, 7.4, -2.4), 8.4)),
            Part(_panes, _glass, ((0.0, 4.0, -2.4), 7.4)),
            Part(_iron, _gilt, ((0.0, 13.3, 2.2), 1.2)),
            Part(_graves, _slab, ((4.6, 0.4, 4.0), 3.6)),
        ),
        environment=sky(colour("#4a5f9a"), colour("#e8a983"), colour("#2c3022"), sharpness=2.0),
        sun=SUN,
        sun_light=vec(1.35, 0.66, 0.33),
        floor=_lawn,
        sun_size=0.08,
        ambient=0.75,
        reach=70.0,
    )
    return photograph(scene, HOME, _evening, shot, size, exposure=0.95, seed=8)


def _arch(x: Array, y: Array, half: float, foot: float) -> Array:
    """A pointed arch in the plane: `half` wide each side, springing at y = 0, `foot` below that."""
    shoulder = np.hypot(np.abs(x) + half, y) - 2 * half
    return np.maximum(np.where(y > 0, shoulder, np.abs(x) - half), -y - foot)


def _bay(point: Array) -> Array:
    """Distance along the nave from the middle of the nearest bay."""
    index = np.clip(np.round((point[2] + 0.9) / -BAY), 0, 3)
    return point[2] + 0.9 + index * BAY


def _openings(point: Array, widen: float = 0.0) -> Array:
    """The prisms of all windows and the door, as one field."""
    x, y, z = point
    nave = np.maximum(_arch(_bay(point), y - 2.15, 0.40 + widen, 1.2 + widen), 1.7 - x)
    door = np.maximum(_arch(x, y - 1.55, 0.52 + widen, 1.6), 3.05 - z)
    lancet = np.maximum(_arch(x, y - 4.3, 0.27 + widen, 0.75 + widen), 3.05 - z)
    side = np.maximum(_arch(z - 2.2, y - 4.3, 0.27 + widen, 0.75 + widen), 0.85 - x)
    pair_x = np.abs(x) - 0.42
    belfry = np.maximum(_arch(pair_x, y - 7.0, 0.24 + widen, 0.85 + widen), 3.05 - z)
    pair_z = np.abs(z - 2.2) - 0.42
    belfry_side = np.maximum(_arch(pair_z, y - 7.0, 0.24 + widen, 0.85 + widen), 0.85 - x)
    return union(nave, door, lancet, side, belfry, belfry_side)


def _walls(point: Array) -> Array:
    x, y, z = point
    nave = box(point - vec(0, 1.75, -3.9), (2.1, 1.75, 4.5))
    gable = np.maximum((np.abs(x) - 2.1) * 0.83 + (y - 3.5) * 0.56, np.abs(z + 3.9) - 4.5)
    nave = np.minimum(nave, np.maximum(gable, 3.4 - y))
    tower = box(point - vec(0, 4.15, 2.2), (1.15, 4.15, 1.15))
    for height in (3.1, 5.6, 8.2):
        tower = np.minimum(tower, box(point - vec(0, height, 2.2), (1.23, 0.09, 1.23)))
    corner = np.stack([np.abs(x), y, np.abs(z - 2.2)])
    tower = np.minimum(tower, box(corner - vec(1.17, 2.2, 1.17), (0.22, 2.2, 0.22)))
    turret = box(corner - vec(1.02, 8.55, 1.02), (0.17, 0.55, 0.17))
    between = np.stack([x, y, np.abs(_bay(point)) - BAY / 2])
    buttress = box(between - vec(2.2, 1.15, 0), (0.24, 1.15, 0.13))
    plinth = box(point - vec(0, 0.2, -3.9), (2.22, 0.22, 4.6))
    solid = union(nave, tower, turret, buttress, plinth)
    return np.maximum(solid, -_openings(point))


def _roofs(point: Array) -> Array:
    x, y, z = point
    slope = np.abs((np.abs(x) - 2.35) * 0.83 + (y - 3.32) * 0.56 - 0.06) - 0.07
    nave = common(slope, np.abs(z + 4.0) - 4.75, 3.2 - y)
    octagon = np.maximum(
        np.maximum(np.abs(x), np.abs(z - 2.2)), (np.abs(x) + np.abs(z - 2.2)) * 0.7071
    )
    spire = np.maximum((octagon - 1.12 * (13.0 - y) / 4.75) * 0.97, 8.25 - y)
    around = (np.abs(np.abs(x) - 1.02), np.abs(np.abs(z - 2.2) - 1.02))
    pinnacle = np.maximum((np.maximum(*around) - 0.21 * (10.3 - y) / 1.2) * 0.97, 9.1 - y)
    return union(nave, spire, pinnacle)


def _panes(point: Array) -> Array:
    inner = np.minimum(
        box(point - vec(0, 1.75, -3.9), (1.92, 1.75, 4.3)),
        box(point - vec(0, 4.1, 2.2), (0.97, 4.1, 0.97)),
    )
    return np.maximum(inner, 0.01 - inner - 0.2)


def _iron(point: Array) -> Array:
    place = point - vec(0, 13.35, 2.2)
    upright = box(place, (0.035, 0.62, 0.035))
    beam = box(place - vec(0, 0.22, 0), (0.27, 0.035, 0.035))
    ball = length(place + vec(0, 0.5, 0)) - 0.11
    return union(upright, beam, ball)


def _graves(point: Array) -> Array:
    best = np.full(point.shape[1], 9.0, np.float32)
    for x, z, tilt in ((3.4, 3.2, 0.05), (5.0, 4.4, -0.08), (4.3, 1.6, 0.04), (6.3, 2.6, 0.07)):
        place = point - vec(x, 0, z)
        place = np.stack([place[0] + tilt * place[1], place[1], place[2]])
        slab = box(place - vec(0, 0.3, 0), (0.25, 0.3, 0.07), 0.02)
        crown = np.hypot(place[0], place[1] - 0.6) - 0.25
        crown = np.maximum(crown, np.abs(place[2]) - 0.07)
        best = np.minimum(best, np.minimum(slab, crown))
    return best * 0.95


def _stone(point: Array, normal: Array) -> Surface:
    """Coursed blocks of limestone, each a little different, with darker joints and stains."""
    x, y, z = point
    flat = np.where(np.abs(normal[0]) > np.abs(normal[2]), z, x)
    course = np.floor(y / 0.21)
    along = flat / 0.45 + 0.5 * (course % 2)
    block = uniform(np.stack([np.floor(along), course]).astype(np.int64), 3)
    joint_y = np.abs(y / 0.21 - np.round(y / 0.21)) * 0.21
    joint_x = np.abs(along - np.round(along)) * 0.45
    joint = smoothstep(0.028, 0.010, np.minimum(joint_x, joint_y))
    tint = mix(colour("#a89c8c"), colour("#7d766c"), block)
    tint = tint * (1 + 0.22 * fbm(point * 3.5, 4, seed=6))
    stain = smoothstep(0.1, 0.9, fbm(point * vec(1.3, 0.35, 1.3), 4, seed=9) + 0.25)
    tint = tint * (1 - 0.35 * stain) * (1 - 0.45 * joint)
    # Dressed stone round the openings.
    trim = smoothstep(0.01, -0.01, _openings(point, 0.10))
    tint = mix(tint, colour("#b8ae9c"), 0.75 * trim)
    bump = np.stack([noise(point * 11 + 17 * k, seed=k) for k in range(3)])
    return Surface(tint.astype(np.float32), roughness=0.9, normal=unit(normal + 0.14 * bump))


def _slab(point: Array, normal: Array) -> Surface:
    moss = smoothstep(0.1, 0.6, fbm(point * 4, 4, seed=23))
    tint = mix(colour("#6f6e6c"), colour("#5a5f42"), 0.6 * moss)
    return Surface(tint * (1 + 0.3 * fbm(point * 12, 4, seed=24)), roughness=0.9)


def _slate(point: Array, normal: Array) -> Surface:
    x, y, z = point
    flat = np.where(np.abs(normal[0]) > np.abs(normal[2]), z, x)
    course = np.floor(y / 0.15)
    along = flat / 0.24 + 0.5 * (course % 2)
    tile = uniform(np.stack([np.floor(along), course]).astype(np.int64), 5)
    edge = smoothstep(0.2, 0.0, y / 0.15 - course)
    tint = mix(colour("#4a4e58"), colour("#6a655f"), tile) * (1 - 0.5 * edge)
    moss = smoothstep(0.25, 0.8, fbm(point * 1.1, 4, seed=12))
    tint = mix(tint, colour("#5c5f38"), 0.5 * moss)
    tilt = np.stack([0 * y, edge * 0.4 + (tile - 0.5) * 0.1, (tile - 0.5) * 0.16])
    return Surface(tint, roughness=0.55, normal=unit(normal + tilt))


def _glass(point: Array, normal: Array) -> Surface:
    """Leaded panes lit from inside; the belfry and the door are dark wood."""
    x, y, z = point
    wide = np.where(np.abs(normal[0]) > np.abs(normal[2]), z, x)
    lead = np.maximum(
        np.cos((wide * 1.0 + y * 0.62) * 2 * np.pi / 0.16),
        np.cos((wide * 1.0 - y * 0.62) * 2 * np.pi / 0.16),
    )
    bright = 1 - 0.72 * smoothstep(0.86, 0.97, lead)
    on_nave = (normal[0] > 0.5) & (z < 1)
    mullion = np.where(on_nave, smoothstep(0.035, 0.022, np.abs(_bay(point))), 0)
    bright = bright * (1 - 0.9 * mullion)
    panel = uniform(np.stack([np.floor(wide / 0.35), np.floor(y / 0.4)]).astype(np.int64), 8)
    tint = mix(LAMP, vec(1.0, 0.72, 0.34), panel)
    tint = mix(tint, vec(0.75, 0.16, 0.08), 0.55 * smoothstep(0.85, 0.9, panel))
    level = 1.5 + 0.8 * noise(np.stack([wide * 1.5, y * 0.9]), seed=3)
    wood = (y > 5.5) | ((y < 2.7) & (z > 2))
    slats = 0.5 + 0.5 * np.cos(y * 2 * np.pi / 0.17)
    planks = smoothstep(0.0, 0.06, np.abs((x / 0.17) % 1 - 0.5))
    timber = np.where(y > 5.5, 0.2 + 0.8 * slats, 0.4 + 0.6 * planks) * colour("#4a3524")
    emission = np.where(wood, 0, tint * level * bright * 1.5)
    albedo = np.where(wood, timber, 0.03)
    return Surface(albedo.astype(np.float32), roughness=0.3, emission=emission.astype(np.float32))


def _gilt(point: Array, normal: Array) -> Surface:
    return Surface(colour("#c79a3a") + 0 * point, roughness=0.3, metal=1.0)


def _lawn(point: Array, normal: Array) -> Surface:
    x, _, z = point
    place = point[[0, 2]]
    tufts = fbm(place * vec(2.5, 1.6), 8, seed=14, gain=0.72)
    grass = mix(colour("#2f3d1c"), colour("#6b7537"), np.clip(0.5 + 0.6 * tufts, 0, 1))
    leaves = smoothstep(0.55, 0.7, fbm(place * 5.0, 3, seed=15))
    grass = mix(grass, colour("#8a5a2a"), 0.7 * leaves)
    bend = 0.28 * np.maximum(z - 3.2, 0) + 0.25 * np.sin(z * 0.5)
    away = np.abs(x - bend) + 0.12 * fbm(place * 2.0, 4, seed=16)
    path = smoothstep(1.0, 0.8, away) * smoothstep(2.9, 3.3, z)
    gravel = colour("#a3937c") * (0.85 + 0.3 * fbm(place * 14, 4, seed=17, gain=0.7))
    # Light falls through door and windows on the ground.
    bump = np.stack([fbm(place * 7 + 9 * k, 3, seed=k) for k in range(2)])
    bent = unit(np.stack([0.35 * bump[0], np.ones_like(x), 0.35 * bump[1]]))
    nave = np.exp(-((x - 3.6) ** 2) / 2.2) * smoothstep(-9, -7, z) * smoothstep(1.2, -0.4, z)
    spill = LAMP * (0.10 * nave)
    tint = mix(grass, gravel, path)
    return Surface(
        tint, roughness=0.95, normal=bent, emission=(tint * spill * 6).astype(np.float32)
    )


def _evening(x: Array, y: Array) -> Array:
    """Afterglow under violet cloud, then hills and a line of bare trees."""
    up = np.clip((y + 0.35) / 1.35, 0, 1)
    stops = [
        (0, "#f6b26a"),
        (0.16, "#eb9a76"),
        (0.36, "#bd95a2"),
        (0.62, "#7683ab"),
        (1, "#46557f"),
    ]
    light = np.zeros((3, *x.shape), np.float32)
    for (low, a), (high, b) in itertools.pairwise(stops):
        part = smoothstep(low, high, up)
        light = mix(
            light if low else colour(a)[:, :, None] + 0 * light, colour(b)[:, :, None], part
        )
    place = np.stack([x * 0.9 + 2, y * 3.2 + 0.35 * x])
    drift = np.stack([fbm(place + 4, 3, seed=41), fbm(place - 6, 3, seed=42)])
    puff = fbm(place + 0.5 * drift, 6, seed=43, gain=0.55)
    below = fbm(place + 0.5 * drift + vec(0.0, 0.16)[:, :, None], 6, seed=43, gain=0.55)
    cover = smoothstep(0.0, 0.7, puff) * smoothstep(-0.25, 0.15, y)
    rim = np.clip(0.45 + 1.6 * (puff - below), 0, 1)
    cloud = mix(colour("#57608c")[:, :, None], colour("#ff9f7d")[:, :, None], rim)
    light = mix(light, cloud, 0.85 * cover) * 1.1
    ridge = -0.36 + 0.035 * fbm(np.stack([x * 1.3, 0 * x]), 4, seed=51)
    light = mix(light, colour("#5d5668")[:, :, None] * 0.6, smoothstep(0.012, -0.012, y - ridge))
    trees = _bare_trees(x, y)
    wood = smoothstep(0.02, -0.02, y + 0.385 - 0.05 * fbm(np.stack([x * 9, 0 * x]), 4, seed=52))
    trees = np.maximum(trees, wood)
    return mix(light, vec(0.050, 0.045, 0.058)[:, :, None], trees * 0.93).astype(np.float32)


def _bare_trees(x: Array, y: Array) -> Array:
    """Coverage of a far line of trees and one tall one, looked up where a pixel meets them."""
    page = 1200
    canvas = Image.new("L", (page, page))
    pen = ImageDraw.Draw(canvas)
    draw = np.random.default_rng(6)

    def grow(x: float, y: float, angle: float, reach: float, thick: float, depth: int) -> None:
        for _ in range(3):
            angle += draw.normal(0, 0.10) - 0.03 * np.sin(angle)
            nx, ny = x + np.sin(angle) * reach / 3, y - np.cos(angle) * reach / 3
            thick *= 0.93
            pen.line([(x, y), (nx, ny)], fill=255, width=max(1, round(thick)))
            x, y = nx, ny
        if depth:
            for _ in range(2 if draw.uniform() < 0.62 else 3):
                turn = draw.normal(0, 0.55)
                shrunk = draw.uniform(0.66, 0.86)
                grow(x, y, angle + turn, reach * shrunk, thick * shrunk * 0.92, depth - 1)

    for _ in range(15):
        root = draw.uniform(-0.05, 1.05) * page
        grow(root, 0.705 * page, 0.0, draw.uniform(0.035, 0.062) * page, 6, 6)
    grow(0.93 * page, 0.74 * page, -0.05, 0.11 * page, 15, 8)
    page_x = np.clip((x + 1) / 2 * page, 0, page - 1).astype(int)
    page_y = np.clip((1 - y) / 2 * page, 0, page - 1).astype(int)
    soft = np.asarray(canvas.filter(ImageFilter.GaussianBlur(1.2)), np.float32) / 255
    return soft[page_y, page_x]
