"""A chain saw set down on sawdust in front of a felled trunk, at the edge of a wood."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from assets.samples.render.film import aperture_blur
from assets.samples.render.materials import sample
from assets.samples.render.noise import fbm, noise, uniform
from assets.samples.render.shot import Shot, photograph
from assets.samples.render.solids import box, common, cylinder, path, union
from assets.samples.render.trace import Camera, Part, Scene, Surface, sky
from assets.samples.render.vectors import Array, colour, mix, smoothstep, unit, vec

HOME = Camera(eye=(-3.1, 2.7, 6.5), target=(-0.50, 0.52, 0.0), fov=35.5)
BAR = 0.17  # half height of the guide bar
BAR_Y, BAR_Z, BAR_END = 0.50, 0.12, -2.55


def render(shot: Shot, size: int) -> Image.Image:
    """The saw in focus; trunk and wood fall off behind it."""
    badge = _badge()

    def plastic(point: Array, normal: Array) -> Surface:
        return _orange(point, normal, badge)

    scene = Scene(
        parts=(
            Part(_engine, shot.paint(plastic), ((0.62, 0.68, 0.0), 1.05)),
            Part(_grips, _black, ((0.72, 0.78, 0.0), 1.35)),
            Part(_steel, _alloy, ((0.35, 0.6, 0.2), 0.85)),
            Part(_guide, _bar_steel, ((-1.15, BAR_Y, BAR_Z), 1.65)),
            Part(_chain, _chain_steel, ((-1.15, BAR_Y, BAR_Z), 1.72)),
            Part(_trunk, _bark, ((0.4, 0.75, -2.3), 4.0)),
        ),
        environment=sky(colour("#9fb7c9"), colour("#c9cfae"), colour("#5a4a33") * 0.8),
        sun=(-0.55, 0.78, 0.52),
        sun_light=vec(2.7, 2.45, 1.95),
        floor=_sawdust,
        sun_size=0.06,
        ambient=0.78,
    )
    return photograph(scene, HOME, _wood, shot, size, exposure=0.85, seed=14, lens=15, widest=13)


def _engine(point: Array) -> Array:
    """Crankcase, starter cover with its fins, and the top cover."""
    case = box(point - vec(0.55, 0.56, 0.0), (0.66, 0.34, 0.34), 0.12)
    tank = box(point - vec(0.86, 0.40, 0.0), (0.52, 0.26, 0.30), 0.10)
    slope = point - vec(0.62, 0.96, 0.0)
    slope = np.stack([slope[0], slope[1] + 0.16 * slope[0], slope[2]])
    top = box(slope, (0.52, 0.17, 0.27), 0.10)
    round_ = point - vec(0.62, 0.58, 0.36)
    cover = cylinder(round_, 2, 0.34, 0.09, 0.05)
    angle = np.arctan2(round_[1], round_[0])
    radial = np.hypot(round_[0], round_[1])
    slot = np.maximum(
        np.abs(np.sin(angle * 8)) * radial / 8 - 0.019, np.abs(radial - 0.225) - 0.075
    )
    slot = np.maximum(slot, 0.03 - round_[2])
    return np.maximum(union(case, tank, top, cover), -slot * 0.8)


def _grips(point: Array) -> Array:
    """Rear handle, front handle, hand guard and filter knob, in black."""
    rear = np.array(
        [
            (1.15, 1.02, 0),
            (1.45, 1.04, 0),
            (1.78, 0.93, 0),
            (1.92, 0.70, 0),
            (1.88, 0.44, 0),
            (1.70, 0.27, 0),
            (1.35, 0.24, 0),
        ],
        np.float32,
    ).T
    front = np.array(
        [
            (0.42, 0.40, 0.46),
            (0.36, 0.80, 0.50),
            (0.26, 1.20, 0.44),
            (0.20, 1.36, 0.22),
            (0.18, 1.38, -0.15),
            (0.22, 1.24, -0.42),
            (0.34, 0.70, -0.44),
        ],
        np.float32,
    ).T
    handles = np.minimum(path(point, rear, 0.088), path(point, front, 0.062))
    tilt = point - vec(-0.10, 1.02, 0.04)
    tilt = np.stack([tilt[0] + 0.22 * tilt[1], tilt[1], tilt[2]])
    guard = box(tilt, (0.035, 0.36, 0.34), 0.03)
    hole = box(tilt - vec(0, -0.02, 0.02), (0.2, 0.15, 0.17), 0.08)
    guard = np.maximum(guard, -hole) * 0.92
    trigger = box(point - vec(1.42, 0.86, 0.0), (0.09, 0.10, 0.05), 0.04)
    knob = cylinder(point - vec(1.02, 1.08, 0.0), 1, 0.10, 0.06, 0.02)
    pull = box(point - vec(0.30, 0.98, 0.36), (0.13, 0.04, 0.05), 0.03)
    hub = cylinder(point - vec(0.62, 0.58, 0.42), 2, 0.12, 0.05, 0.02)
    cap = cylinder(point - vec(1.12, 0.42, 0.30), 2, 0.12, 0.06, 0.02)
    return union(handles, guard, trigger, knob, pull, hub, cap)


def _steel(point: Array) -> Array:
    """The side plate that holds the bar, its two nuts, the spikes and the silencer."""
    plate = box(point - vec(0.02, 0.50, 0.20), (0.22, 0.25, 0.08), 0.04)
    nuts = np.stack([np.abs(point[0] - 0.02) - 0.10, point[1] - 0.50, point[2] - 0.29])
    nut = cylinder(nuts, 2, 0.048, 0.035, 0.01)
    height = (point[1] - 0.50) / 0.115
    spike = np.abs(height - np.round(height)) * 0.115
    teeth = common(
        (-0.24 - point[0]) * 0.55 + spike - 0.03,
        np.abs(point[1] - 0.50) - 0.27,
        np.abs(point[2] - 0.21) - 0.02,
        point[0] + 0.1,
    )
    return union(plate, nut, teeth * 0.85)


def _outline(point: Array) -> tuple[Array, Array]:
    """Distance to the bar's outline in its plane, and the place along the chain."""
    x, y = point[0], point[1] - BAR_Y
    along = np.clip(x, BAR_END, 0.1)
    distance = np.hypot(x - along, y) - BAR
    nose = np.arctan2(x - BAR_END, np.abs(y) + 1e-6)
    place = np.where(x < BAR_END, BAR_END + nose * BAR, x)
    return distance, np.where(y > 0, place, -place + 0.07)


def _guide(point: Array) -> Array:
    distance, _ = _outline(point)
    return np.maximum(distance, np.abs(point[2] - BAR_Z) - 0.022)


def _chain(point: Array) -> Array:
    """Tie straps all along, a raised cutter on every second link, alternately left and right."""
    distance, place = _outline(point)
    z = point[2] - BAR_Z
    phase = place / 0.21
    link = np.round(phase)
    away = np.abs(phase - link) * 0.21
    strap = common(np.abs(distance - 0.022) - 0.026, np.abs(z) - 0.034, away - 0.098)
    side = np.where(link % 2 == 0, 0.022, -0.022)
    cutter = common(
        np.abs(distance - 0.058) - 0.036, np.abs(z - side) - 0.028, np.abs(away - 0.025) - 0.045
    )
    return np.maximum(np.minimum(strap, cutter), point[0] - 0.0) * 0.8


def _trunk(point: Array) -> Array:
    """A trunk lying across, sawn off at the left."""
    y, z = point[1] - 0.72, point[2] + 2.35 + 0.10 * point[0]
    heading = np.arctan2(y, z)
    rough = 0.05 * fbm(np.stack([point[0] * 1.6, heading * 3.0]), 3, seed=21)
    return np.maximum(np.hypot(y, z) - 0.78 - rough, -1.55 - point[0] - 0.12 * y) * 0.85


def _badge() -> Image.Image:
    page = Image.new("RGB", (512, 128), (226, 92, 18))
    pen = ImageDraw.Draw(page)
    pen.rectangle((0, 20, 512, 108), fill=(245, 244, 240))
    pen.text((256, 64), "GRAD 16", font=ImageFont.load_default(80), fill=(30, 30, 32), anchor="mm")
    return page


def _orange(point: Array, normal: Array, badge: Image.Image) -> Surface:
    """Orange housing, a pale top cover, oil and dust in the corners."""
    paint = colour("#e2560f") * (1 + 0.04 * fbm(point * 4, 3, seed=1))
    ridge = point[1] + 0.16 * (point[0] - 0.62)
    paint = mix(paint, colour("#e9e6de"), smoothstep(0.875, 0.88, ridge))
    label = sample(badge, (point[0] - 0.32) / 0.60, (1.04 - ridge) / 0.15)
    on = (np.abs(point[0] - 0.62) < 0.30) & (np.abs(ridge - 0.965) < 0.075) & (normal[2] > 0.5)
    paint = np.where(on, label, paint)
    round_ = np.hypot(point[0] - 0.62, point[1] - 0.58)
    dark = (round_ < 0.31) & (point[2] > 0.40)
    paint = np.where(dark, colour("#2a2a2c"), paint)
    grime = smoothstep(
        0.1, 0.8, fbm(point * 3.0, 4, seed=2) + 0.7 * smoothstep(0.45, 0.2, point[1])
    )
    paint = mix(paint, colour("#6b5233"), 0.45 * grime)
    flecks = smoothstep(0.55, 0.65, noise(point * 26, seed=3)) * smoothstep(0.2, 0.7, normal[1])
    paint = mix(paint, colour("#d8b67c"), 0.8 * flecks)
    return Surface(paint, roughness=0.32, gloss=0.045)


def _black(point: Array, normal: Array) -> Surface:
    bent = unit(normal + 0.05 * np.stack([noise(point * 35, seed=k) for k in range(3)]))
    return Surface(colour("#1e1e20") + 0 * point, roughness=0.42, normal=bent)


def _alloy(point: Array, normal: Array) -> Surface:
    worn = np.clip(0.5 + 0.5 * fbm(point * 12, 3, seed=4), 0, 1)
    return Surface(
        mix(vec(0.34, 0.33, 0.32), vec(0.62, 0.61, 0.59), worn), roughness=0.35, metal=1.0
    )


def _bar_steel(point: Array, normal: Array) -> Surface:
    """Brushed along its length, with oil streaks and the maker's stripe."""
    brushed = fbm(np.stack([point[0] * 2, point[1] * 90, point[2]]), 3, seed=5)
    oil = smoothstep(0.0, 0.7, fbm(point * vec(1.5, 5, 1), 4, seed=6))
    tint = vec(0.66, 0.66, 0.65) * (1 + 0.10 * brushed) * (1 - 0.5 * oil)
    on = (np.abs(point[1] - BAR_Y) < 0.035) & (point[0] > -1.9) & (point[0] < -0.7)
    tint = np.where(on, colour("#2b2b2d"), tint)
    bent = unit(normal + vec(0, 0.05, 0) * brushed)
    return Surface(tint, roughness=0.33, metal=0.9, normal=bent)


def _chain_steel(point: Array, normal: Array) -> Surface:
    return Surface(vec(0.30, 0.29, 0.27) + 0 * point, roughness=0.30, metal=1.0)


def _bark(point: Array, normal: Array) -> Surface:
    y, z = point[1] - 0.72, point[2] + 2.35 + 0.10 * point[0]
    heading, radial = np.arctan2(y, z), np.hypot(y, z)
    plates = fbm(np.stack([point[0] * 2.4, heading * 5.0]), 5, seed=21, gain=0.6)
    bark = mix(colour("#33281e"), colour("#8a765c"), np.clip(0.45 + 0.8 * plates, 0, 1))
    moss = smoothstep(0.1, 0.7, fbm(point * 1.4, 4, seed=22)) * smoothstep(0.0, 0.8, normal[1])
    bark = mix(bark, colour("#6f7a35"), 0.6 * moss)
    rings = 0.5 + 0.5 * np.sin(radial * 75 + 4 * fbm(np.stack([y, z]) * 2, 3, seed=23))
    cut = mix(colour("#c99a5e"), colour("#e6c893"), rings)
    ends = smoothstep(0.6, 0.8, -normal[0])
    tint = mix(bark, cut, ends)
    bump = np.stack([noise(point * 9 + 5 * k, seed=k) for k in range(3)])
    return Surface(tint, roughness=0.9, normal=unit(normal + 0.35 * bump * (1 - ends)))


def _sawdust(point: Array, normal: Array) -> Surface:
    """Trodden earth, leaves, and pale chips thickest round the saw."""
    place = point[[0, 2]]
    earth = mix(
        colour("#4a3a26"), colour("#75603f"), np.clip(0.5 + fbm(place * 4, 5, seed=31), 0, 1)
    )
    green = smoothstep(0.15, 0.6, fbm(place * 0.9, 5, seed=32) - 0.12 * (place[1] + 1.0))
    earth = mix(earth, colour("#5d7030") * (1 + 0.6 * fbm(place * 12, 3, seed=33)), 0.8 * green)
    # Chips: cells of a jittered grid, some empty, each turned its own way.
    chips = np.zeros(place.shape[1], np.float32)
    tone = np.zeros_like(chips)
    near = smoothstep(3.6, 0.9, np.hypot(place[0] + 0.8, (place[1] - 0.2) * 1.1))
    for layer, pitch in enumerate((0.07, 0.10, 0.15)):
        cell = np.floor(place / pitch).astype(np.int64)
        draw = [uniform(cell, 40 + 5 * layer + k) for k in range(4)]
        offset = place / pitch - cell - 0.5 - 0.35 * (np.stack(draw[:2]) - 0.5)
        turn = draw[2] * np.float32(np.pi)
        u = np.cos(turn) * offset[0] + np.sin(turn) * offset[1]
        v = np.cos(turn) * offset[1] - np.sin(turn) * offset[0]
        chip = smoothstep(0.03, 0.0, np.maximum(np.abs(u) - 0.33, np.abs(v) - 0.14))
        chip = chip * (draw[3] < 0.06 + 0.5 * near)
        tone = np.where(chip > chips, draw[0], tone)
        chips = np.maximum(chips, chip)
    dust = smoothstep(0.35, 1.15, near + 0.4 * fbm(place * 3, 4, seed=34))
    tint = mix(earth, colour("#a88555") * (1 + 0.25 * fbm(place * 22, 3, seed=35)), 0.8 * dust)
    tint = mix(tint, mix(colour("#b98d54"), colour("#f0d6a4"), tone), chips)
    bump = np.stack([noise(place * 15, 1), 0 * place[0], noise(place * 15, 2)])
    bump[0] += 0.8 * chips * (tone - 0.5)
    return Surface(tint, roughness=0.95, normal=unit(normal + 0.35 * bump))


def _wood(x: Array, y: Array) -> Array:
    """Trunks and leaves with the light coming through, far out of focus."""
    leaves = fbm(np.stack([x * 3.2, y * 3.2]), 5, seed=51, gain=0.6)
    light = mix(
        colour("#1d2f17")[:, :, None], colour("#86a052")[:, :, None], np.clip(0.45 + leaves, 0, 1)
    )
    draw = np.random.default_rng(17)
    for _ in range(13):
        left, wide = draw.uniform(-1.1, 1.1), draw.uniform(0.015, 0.06)
        trunk = smoothstep(wide, wide * 0.6, np.abs(x - left - 0.03 * y))
        light = mix(light, colour("#3d3328")[:, :, None] * draw.uniform(0.5, 1.3), 0.85 * trunk)
    for _ in range(110):
        px, py = draw.uniform(-1, 1), draw.uniform(0.25, 1.0)
        spot = np.exp(-((x - px) ** 2 + (y - py) ** 2) / 8e-5)
        tint = np.array([1.0, 1.0, draw.uniform(0.6, 0.95)])[:, None, None]
        light = light + spot * tint * draw.uniform(0.3, 1) ** 2 * 20
    lawn = colour("#6b7d3c")[:, :, None] * (1.1 + 0.4 * fbm(np.stack([x * 3, y * 20]), 3, seed=52))
    light = mix(light, lawn, smoothstep(0.42, 0.36, y))
    return aperture_blur(light.astype(np.float32), 13)
