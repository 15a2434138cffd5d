"""A rear-loading garbage truck at the kerb of a street with trees, late morning."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from assets.samples.render.film import aperture_blur
from assets.samples.render.materials import sample
from assets.samples.render.noise import fbm, noise
from assets.samples.render.shot import Shot, photograph
from assets.samples.render.solids import box, capsule, common, cylinder, union
from assets.samples.render.trace import Camera, Part, Scene, Surface, sky
from assets.samples.render.vectors import Array, colour, mix, smoothstep, unit, vec

HOME = Camera(eye=(-9.6, 2.5, 11.2), target=(-0.60, 1.62, 0.0), fov=33.5)
SIDE = 1.25  # half width of the body
AXLES = (-2.95, 1.15, 2.2)


def render(shot: Shot, size: int) -> Image.Image:
    """The truck sharp from bumper to hopper, the street behind it soft."""
    faces = _Faces()
    scene = Scene(
        parts=(
            Part(_cab, shot.paint(faces.cab), ((-3.15, 1.7, 0.0), 1.95)),
            Part(_body, shot.paint(faces.body), ((0.45, 2.2, 0.0), 3.1)),
            Part(_hopper, shot.paint(faces.hopper), ((3.25, 1.9, 0.0), 2.05)),
            Part(_glass, _window, ((-3.2, 2.2, 0.0), 1.7)),
            Part(_frame, _grey, ((0.0, 0.9, 0.0), 4.4)),
            Part(_tyres, _rubber, ((-0.1, 0.55, 0.0), 3.7)),
            Part(_rams, _chrome, ((-0.2, 1.6, 0.0), 4.6)),
            Part(_lamps, _lamp, ((-3.3, 1.8, 0.0), 2.4)),
            Part(_kerb, _concrete),
        ),
        environment=sky(colour("#6f9ad4"), colour("#dde6ea") * 1.1, colour("#6d6a64") * 0.7),
        sun=(-0.50, 0.72, 0.62),
        sun_light=vec(2.6, 2.4, 2.05),
        floor=_road,
        sun_size=0.04,
        ambient=0.82,
        reach=60.0,
    )
    return photograph(scene, HOME, _street, shot, size, exposure=0.74, seed=15, lens=14, widest=7)


def _cab(point: Array) -> Array:
    x, y, z = point
    shell = box(point - vec(-3.15, 1.78, 0), (0.98, 1.18, SIDE - 0.03), 0.16)
    shell = np.maximum(shell, (-4.10 - x) * 0.97 + (y - 1.65) * 0.16)
    arch = cylinder(point - vec(AXLES[0], 0.55, 0), 2, 0.70, 3.0)
    shell = np.maximum(shell, -arch)
    seam = np.abs(np.maximum(np.abs(x + 3.10) - 0.55, np.abs(y - 1.75) - 0.98)) - 0.008
    seam = np.maximum(seam, SIDE - 0.045 - np.abs(z))
    return np.maximum(np.maximum(shell, -seam), -_opening(point))


def _opening(point: Array) -> Array:
    """Windscreen and side windows."""
    z = point[2]
    screen = box(point - vec(-4.05, 2.28, 0), (0.34, 0.48, 1.06), 0.08)
    side = box(point - vec(-3.22, 2.32, 0), (0.52, 0.40, 3.0), 0.08)
    side = np.maximum(side, SIDE - 0.09 - np.abs(z))
    return np.minimum(screen, side)


def _glass(point: Array) -> Array:
    return box(point - vec(-3.13, 1.9, 0), (0.86, 1.0, SIDE - 0.075), 0.14)


def _body(point: Array) -> Array:
    x, y, z = point
    hull = box(point - vec(0.30, 2.18, 0), (2.28, 1.28, SIDE), 0.14)
    at = (x + 1.55) / 0.62
    rib_x = (at - np.clip(np.round(at), 0, 6)) * 0.62
    rib = box(np.stack([rib_x, y - 2.18, np.abs(z) - SIDE]), (0.055, 1.16, 0.05), 0.02)
    rails = box(
        np.stack([x - 0.30, np.abs(y - 2.18) - 1.12, np.abs(z) - SIDE]), (2.24, 0.07, 0.06), 0.02
    )
    return union(hull, rib, rails)


def _hopper(point: Array) -> Array:
    """The tailgate: a belly that leans back, with a dark mouth behind."""
    x, y, z = point
    hull = box(point - vec(3.25, 1.98, 0), (0.98, 1.42, SIDE + 0.02), 0.16)
    roof = (x - 3.05) * 0.62 + (y - 3.15) * 0.78
    chin = (x - 3.75) * 0.55 - (y - 0.75) * 0.83
    hull = common(hull, roof, chin)
    mouth = box(point - vec(4.15, 1.75, 0), (0.65, 0.62, SIDE - 0.14), 0.1)
    hull = np.maximum(hull, -mouth)
    brace = np.stack([x - 3.2, y - 1.62, np.abs(z) - SIDE - 0.03])
    brace = np.stack([brace[0] * 0.9 + brace[1] * 0.43, brace[1] * 0.9 - brace[0] * 0.43, brace[2]])
    rib = box(brace, (0.07, 0.85, 0.05), 0.02)
    step = box(point - vec(4.22, 0.66, 0), (0.20, 0.05, SIDE - 0.1), 0.02)
    return union(hull, rib, step)


def _frame(point: Array) -> Array:
    x, y, z = point
    beam = box(point - vec(0.2, 0.78, 0), (3.7, 0.14, 0.55), 0.03)
    bumper = box(point - vec(-4.14, 0.70, 0), (0.16, 0.19, SIDE), 0.06)
    grille = box(point - vec(-4.02, 1.25, 0), (0.12, 0.20, 0.72), 0.03)
    bars = np.abs((y / 0.085) - np.round(y / 0.085)) * 0.085 - 0.028
    grille = np.maximum(grille, -np.maximum(bars, x + 4.09))
    tank = cylinder(point - vec(-1.1, 0.78, 0.98), 0, 0.27, 0.5, 0.05)
    guard = box(np.stack([x - 1.68, y - 1.20, np.abs(z) - 1.0]), (1.25, 0.03, 0.27), 0.02)
    skirt = box(np.stack([x + 0.20, y - 0.72, np.abs(z) - 1.18]), (0.35, 0.24, 0.04), 0.02)
    mirror = box(np.stack([x + 4.12, y - 2.30, np.abs(z) - 1.55]), (0.05, 0.28, 0.12), 0.04)
    arm = capsule(np.stack([x, y, np.abs(z)]), (-3.95, 2.62, 1.2), (-4.12, 2.60, 1.52), 0.025)
    lower = capsule(np.stack([x, y, np.abs(z)]), (-3.95, 2.0, 1.2), (-4.12, 2.04, 1.52), 0.025)
    exhaust = cylinder(point - vec(-2.02, 2.35, 1.02), 1, 0.085, 1.35, 0.02)
    return union(beam, bumper, grille, tank, guard, skirt, mirror, arm, lower, exhaust)


def _wheel(point: Array) -> Array:
    """The point seen from the nearest wheel's middle, its outer side towards +z."""
    x = point[0]
    nearest = np.full_like(x, AXLES[0])
    for axle in AXLES[1:]:
        nearest = np.where(np.abs(x - axle) < np.abs(x - nearest), axle, nearest)
    return np.stack([x - nearest, point[1] - 0.56, np.abs(point[2]) - 1.02])


def _tyres(point: Array) -> Array:
    place = _wheel(point)
    tyre = cylinder(place, 2, 0.56, 0.20, 0.09)
    return np.maximum(tyre, -cylinder(place - vec(0, 0, 0.22), 2, 0.335, 0.13, 0.02))


def _rams(point: Array) -> Array:
    """Wheel hubs, and the hydraulic ram of the tailgate."""
    place = _wheel(point)
    rim = cylinder(place - vec(0, 0, 0.05), 2, 0.33, 0.06, 0.02)
    hub = cylinder(place - vec(0, 0, 0.13), 2, 0.13, 0.07, 0.03)
    angle = np.round(np.arctan2(place[1], place[0]) / (np.pi / 4)) * (np.pi / 4)
    nut = np.stack(
        [place[0] - 0.22 * np.cos(angle), place[1] - 0.22 * np.sin(angle), place[2] - 0.12]
    )
    side = np.stack([point[0], point[1], np.abs(point[2])])
    rod = capsule(side, (2.55, 3.05, SIDE + 0.12), (3.62, 1.75, SIDE + 0.12), 0.045)
    return union(rim, hub, cylinder(nut, 2, 0.035, 0.03), rod)


def _lamps(point: Array) -> Array:
    x, y, z = point
    head = cylinder(np.stack([x + 4.10, y - 1.24, np.abs(z) - 0.95]), 0, 0.15, 0.08, 0.03)
    turn = box(np.stack([x + 4.08, y - 0.98, np.abs(z) - 1.0]), (0.06, 0.06, 0.14), 0.02)
    beacon = cylinder(np.stack([x + 3.2, y - 3.05, np.abs(z) - 0.75]), 1, 0.12, 0.13, 0.05)
    return union(head, turn, beacon)


def _kerb(point: Array) -> Array:
    return box(point - vec(0, 0.0, -3.4), (60.0, 0.16, 1.3), 0.04)


class _Faces:
    """Painted sheet metal and its lettering, drawn once."""

    def __init__(self) -> None:
        self.side = _lettering()

    def cab(self, point: Array, normal: Array) -> Surface:
        """White cab with a green waist."""
        paint = mix(colour("#eceae2"), colour("#1f7a43"), smoothstep(1.53, 1.52, point[1]))
        stripe = np.abs(point[1] - 1.60) < 0.03
        paint = np.where(stripe, colour("#f0b41e"), paint)
        return _sheet(point, normal, paint)

    def body(self, point: Array, normal: Array) -> Surface:
        """Green box with the city's lettering on the near side."""
        green = colour("#1f7a43") + 0 * point
        printed = sample(self.side, (point[0] + 1.9) / 4.4, (3.3 - point[1]) / 2.2)
        near = (normal[2] > 0.7) & (point[0] > -1.9) & (point[0] < 2.5) & (point[1] > 1.1)
        return _sheet(point, normal, np.where(near, printed, green))

    def hopper(self, point: Array, normal: Array) -> Surface:
        """Green, with hazard stripes along the lower edge."""
        green = colour("#1c6f3d") + 0 * point
        stripes = np.where(((point[0] + point[1]) / 0.34) % 1 < 0.5, 1.0, 0.0)
        hazard = mix(colour("#f2c21c"), colour("#18181a"), stripes)
        low = (point[1] > 0.92) & (point[1] < 1.16) & (np.abs(normal[2]) > 0.7)
        return _sheet(point, normal, np.where(low, hazard, green))


def _sheet(point: Array, normal: Array, paint: Array) -> Surface:
    """Lacquer over slightly uneven sheet metal, with road dirt from below and streaks from above."""
    dirt = smoothstep(1.7, 0.5, point[1] + 0.6 * fbm(point * 1.4, 4, seed=2))
    streak = smoothstep(0.15, 0.8, fbm(point * vec(5, 0.4, 5), 4, seed=3))
    paint = mix(paint * (1 + 0.04 * fbm(point * 2, 3, seed=1)), colour("#6e6250"), 0.5 * dirt)
    paint = mix(paint, colour("#4d463b"), 0.22 * streak)
    rust = smoothstep(0.66, 0.76, fbm(point * 2.6, 4, seed=4))
    paint = mix(paint, colour("#6b3d22"), 0.8 * rust)
    wave = np.stack([noise(point * 1.3 + 9 * k, seed=k) for k in range(3)])
    return Surface(paint, roughness=0.26, gloss=0.045, normal=unit(normal + 0.018 * wave))


def _lettering() -> Image.Image:
    """The near side, 4.4 x 2.2 units at 300 pixels a unit."""
    page = Image.new("RGB", (1320, 660), (31, 122, 67))
    pen = ImageDraw.Draw(page)
    pen.rectangle((0, 470, 1320, 500), fill=(240, 180, 30))
    pen.rectangle((130, 120, 1190, 400), fill=(236, 234, 226))
    font, small = ImageFont.load_default(104), ImageFont.load_default(54)
    pen.text((770, 215), "CITY WASTE", font=font, fill=(24, 100, 54), anchor="mm")
    pen.text((770, 330), "KEEP OUR STREETS CLEAN", font=small, fill=(24, 100, 54), anchor="mm")
    for k in range(3):
        angle = k * 2 * np.pi / 3
        start = np.degrees(angle) - 80
        pen.arc((200, 155, 400, 355), start, start + 85, fill=(24, 100, 54), width=26)
        tip = np.radians(start + 100)
        x, y = 300 + 87 * np.cos(tip), 255 + 87 * np.sin(tip)
        back = np.radians(start + 82)
        a = (300 + 125 * np.cos(back), 255 + 125 * np.sin(back))
        b = (300 + 50 * np.cos(back), 255 + 50 * np.sin(back))
        pen.polygon([(x, y), a, b], fill=(24, 100, 54))
    return page


def _window(point: Array, normal: Array) -> Surface:
    inside = smoothstep(2.5, 1.9, point[1]) * 0.03
    return Surface(vec(0.02, 0.025, 0.03) + inside + 0 * point, roughness=0.08, gloss=0.06)


def _grey(point: Array, normal: Array) -> Surface:
    mirror = (np.abs(point[2]) > 1.3) | (point[1] > 1.6)
    tint = np.where(mirror, colour("#222326"), colour("#3a3a3c"))
    plate = (np.abs(point[2]) < 0.3) & (np.abs(point[1] - 0.70) < 0.09) & (normal[0] < -0.8)
    tint = np.where(plate, colour("#e8e4d4"), tint)
    dirt = np.clip(0.5 + fbm(point * 3, 4, seed=5), 0, 1)
    return Surface(mix(tint, colour("#6e6250"), 0.35 * dirt), roughness=0.5)


def _rubber(point: Array, normal: Array) -> Surface:
    dust = np.clip(0.35 + 0.5 * fbm(point * 4, 4, seed=6), 0, 1)
    return Surface(mix(colour("#19191a"), colour("#5d564a"), 0.4 * dust), roughness=0.85)


def _chrome(point: Array, normal: Array) -> Surface:
    return Surface(vec(0.62, 0.62, 0.63) + 0 * point, roughness=0.30, metal=0.9)


def _lamp(point: Array, normal: Array) -> Surface:
    amber = (point[1] > 2.5) | (point[1] < 1.07)
    tint = np.where(amber, colour("#f08a12"), colour("#e8ecf0"))
    return Surface(tint, roughness=0.12, gloss=0.06, emission=tint * np.where(amber, 0.25, 0.15))


def _concrete(point: Array, normal: Array) -> Surface:
    slab = smoothstep(0.03, 0.012, np.abs(point[0] / 1.5 - np.round(point[0] / 1.5)) * 1.5)
    tint = colour("#a8a296") * (1 + 0.2 * fbm(point * 4, 4, seed=7)) * (1 - 0.5 * slab)
    return Surface(tint, roughness=0.9)


def _road(point: Array, normal: Array) -> Surface:
    place = point[[0, 2]]
    stones = fbm(place * 7, 5, seed=8, gain=0.75)
    patch = smoothstep(0.1, 0.14, fbm(place * 0.35, 3, seed=9))
    crack = smoothstep(0.03, 0.0, np.abs(fbm(place * 0.4, 5, seed=10)))
    tint = colour("#62605e") * (1 + 0.28 * stones) * (1 - 0.2 * patch) * (1 - 0.5 * crack)
    line = smoothstep(0.10, 0.07, np.abs(point[2] - 3.6)) * ((point[0] / 3) % 1 < 0.55)
    worn = np.clip(0.8 + 0.6 * stones, 0, 1)
    tint = mix(tint, colour("#d8d4c6"), 0.8 * line * worn)
    bump = np.stack([noise(place * 22, 1), 0 * place[0], noise(place * 22, 2)])
    return Surface(tint, roughness=0.85, normal=unit(normal + 0.14 * bump))


def _street(x: Array, y: Array) -> Array:
    """Brick houses, trees and sky, softly out of focus."""
    light = (
        mix(colour("#e3ecf2")[:, :, None], colour("#6ea2de")[:, :, None], smoothstep(-0.1, 1, y))
        * 1.3
    )
    cloud = smoothstep(0.1, 0.7, fbm(np.stack([x * 1.1 + 2, y * 2.0]), 6, seed=71))
    light = mix(light, colour("#ffffff")[:, :, None] * 1.4, 0.8 * cloud)
    for left, right, top, brick in (
        (-1.3, -0.62, 0.72, "#9a5a44"),
        (-0.62, 0.0, 0.58, "#b59a7a"),
        (0.66, 1.3, 0.66, "#8c4f40"),
    ):
        inside = ((x > left) & (x < right) & (y < top)).astype(np.float32)
        wall = colour(brick)[:, :, None] * (
            0.85 + 0.1 * fbm(np.stack([x * 20, y * 40]), 2, seed=72)
        )
        light = mix(light, wall, inside)
        column, floor = (x - left) / 0.17 % 1, (top - y) / 0.26 % 1
        pane = inside * (np.abs(column - 0.5) < 0.24) * (np.abs(floor - 0.55) < 0.27)
        light = mix(light, colour("#3d4c58")[:, :, None] * 1.1, pane)
        light = mix(light, colour("#e6e0d2")[:, :, None], inside * (top - y < 0.04))
    leaves = 0.45 + 0.8 * fbm(np.stack([x * 8, y * 8]), 5, seed=73, gain=0.62)
    green = mix(colour("#22401c")[:, :, None], colour("#8cab4c")[:, :, None], np.clip(leaves, 0, 1))
    for px, py, r in ((0.33, 0.52, 0.36), (-0.98, 0.30, 0.26), (0.95, 0.22, 0.22)):
        edge = (
            np.hypot(x - px, (y - py) * 1.1) - r + 0.10 * fbm(np.stack([x * 5, y * 5]), 4, seed=74)
        )
        light = mix(light, green, smoothstep(0.03, -0.03, edge))
        stem = ((np.abs(x - px) < 0.022) & (y < py - r * 0.7)).astype(np.float32)
        light = mix(light, colour("#3d3128")[:, :, None], stem)
    light = mix(light, colour("#8e897f")[:, :, None], smoothstep(0.02, 0.0, y + 0.02))
    return aperture_blur(light.astype(np.float32), 4.5)
