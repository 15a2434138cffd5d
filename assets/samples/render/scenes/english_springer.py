"""A liver and white English springer spaniel that sits in a meadow."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from assets.samples.render.film import aperture_blur, over, shrink
from assets.samples.render.materials import lawn
from assets.samples.render.noise import fbm, uniform
from assets.samples.render.shot import Shot, photograph
from assets.samples.render.solids import capsule, union
from assets.samples.render.trace import Camera, Layers, Part, Scene, Surface, sky
from assets.samples.render.vectors import Array, colour, length, mix, smoothstep, turned, vec

HOME = Camera(eye=(1.9, 2.1, 7.0), target=(0.0, 1.42, 0.0), fov=33.0)
SUN = (-0.55, 0.72, 0.45)
EYES, NOSE = (0.195, 2.50, 0.555), (0.0, 2.25, 1.035)


def render(shot: Shot, size: int) -> Image.Image:
    """The dog under a coat of short strokes, the meadow, the hedge beyond."""
    scene = Scene(
        parts=(
            Part(_dog, shot.paint(_coat), ((0.0, 1.35, -0.15), 1.75)),
            Part(_ears, shot.paint(_ear_hair), ((0.0, 2.1, 0.1), 0.95)),
            Part(_wet, _black, ((0.0, 2.35, 0.75), 0.6)),
            Part(_tongue, _pink, ((0.0, 1.98, 0.95), 0.35)),
        ),
        environment=sky(colour("#84a9d8"), colour("#e0e6e2"), colour("#4d5f2a") * 0.8),
        sun=SUN,
        sun_light=vec(2.5, 2.3, 1.95),
        floor=lawn,
        ambient=0.85,
    )
    return photograph(
        scene,
        HOME,
        _hedge,
        shot,
        size,
        exposure=0.74,
        seed=27,
        lens=15,
        widest=11,
        floor=0.25,
        groom=_groomed,
    )


def _blend(soft: float, *fields: Array) -> Array:
    """What lies in any of the solids, their seams rounded over `soft`."""
    best = fields[0]
    for other in fields[1:]:
        share = np.clip(0.5 + 0.5 * (best - other) / soft, 0, 1)
        best = best + (other - best) * share - soft * share * (1 - share)
    return best


def _egg(point: Array, at: tuple[float, float, float], half: tuple[float, float, float]) -> Array:
    return (length((point - vec(*at)) / vec(*half)) - 1) * min(half)


def _dog(point: Array) -> Array:
    """Sitting: chest up, haunches down, head turned a little to its left."""
    pair = np.stack([np.abs(point[0]), point[1], point[2]])
    trunk = _blend(
        0.25,
        _egg(point, (0, 1.15, 0.05), (0.56, 0.85, 0.52)),
        _egg(point, (0, 0.72, -0.65), (0.60, 0.66, 0.75)),
        capsule(point, (0, 1.55, 0.02), (0, 2.1, 0.12), 0.36),
    )
    haunch = _egg(pair, (0.50, 0.48, -0.40), (0.32, 0.48, 0.58))
    hind = capsule(pair, (0.62, 0.12, -0.25), (0.62, 0.10, 0.28), 0.13)
    leg = capsule(pair, (0.29, 1.0, 0.38), (0.29, 0.16, 0.46), 0.155)
    paw = _egg(pair, (0.29, 0.11, 0.56), (0.17, 0.12, 0.24))
    body = _blend(0.16, trunk, haunch, hind, leg, paw)
    face = np.stack([np.abs(point[0]), point[1], point[2]])
    head = _blend(
        0.14,
        _egg(point, (0, 2.46, 0.16), (0.40, 0.36, 0.44)),
        capsule(point, (0, 2.24, 0.45), (0, 2.17, 0.82), 0.185),
        capsule(point, (0, 2.10, 0.45), (0, 2.06, 0.70), 0.14),
        _egg(face, (0.12, 2.10, 0.74), (0.14, 0.17, 0.20)),
    )
    socket = length(face - vec(*EYES)) - 0.08
    head = np.maximum(head, -socket)
    curls = 0.02 * fbm(point * vec(5, 3.5, 5), 3, seed=61)
    return (_blend(0.18, body, head) + curls) * 0.7


def _ears(point: Array) -> Array:
    """Long, set level with the eye, wavy."""
    pair = np.stack([np.abs(point[0]), point[1], point[2]])
    place = turned(pair - vec(0.47, 2.10, 0.12), 2, 8)
    flap = _egg(place, (0, 0, 0), (0.13, 0.54, 0.29))
    return (flap + 0.035 * fbm(point * vec(4, 6, 4), 2, seed=62)) * 0.7


def _wet(point: Array) -> Array:
    pair = np.stack([np.abs(point[0]), point[1], point[2]])
    eye = length(pair - vec(*EYES)) - 0.070
    nose = _egg(point, NOSE, (0.125, 0.095, 0.09))
    lip = capsule(pair, (0.0, 2.02, 0.955), (0.16, 1.985, 0.80), 0.022)
    return union(eye, nose, lip)


def _tongue(point: Array) -> Array:
    return _egg(turned(point - vec(0.02, 1.93, 0.93), 0, 24), (0, 0, 0), (0.095, 0.17, 0.04))


def _coat(point: Array, normal: Array) -> Surface:
    """White with a liver mask and patches, and freckles on the legs and muzzle."""
    x, y, z = point
    ragged = 0.10 * fbm(point * 6, 3, seed=63)
    mask = smoothstep(-0.03, 0.05, np.abs(x) + ragged - 0.09 - 0.55 * (z - 0.45))
    mask = mask * smoothstep(2.0, 2.1, y + ragged) * smoothstep(0.86, 0.70, z)
    saddle = smoothstep(-0.12, -0.02, fbm(point * 0.9 + 3.3, 2, seed=64) + ragged)
    saddle = saddle * smoothstep(0.38, 0.1, z + 0.35 * np.abs(x)) * smoothstep(0.35, 0.5, y)
    brown = np.maximum(mask, saddle)
    cell = np.floor(point * 13).astype(np.int64)
    spot = (uniform(cell, 65) > 0.86) & ((y < 0.9) | (z > 0.72))
    away = length(point * 13 - cell - 0.5)
    brown = np.maximum(brown, 0.75 * spot * smoothstep(0.45, 0.3, away))
    liver = colour("#4f2614") * (1 + 0.3 * fbm(point * 9, 3, seed=66))
    white = colour("#efe9df") * (1 + 0.08 * fbm(point * 8, 3, seed=67))
    return Surface(mix(white, liver, np.clip(brown, 0, 1)), roughness=0.75, gloss=0.03)


def _ear_hair(point: Array, normal: Array) -> Surface:
    wave = 0.5 + 0.5 * np.sin(point[1] * 17 + 4 * fbm(point * 3, 2, seed=68))
    tint = mix(colour("#3a1a0d"), colour("#6b3820"), wave)
    return Surface(tint, roughness=0.55, gloss=0.04)


def _black(point: Array, normal: Array) -> Surface:
    eye = (point[1] > 2.36).astype(np.float32)
    pupil = smoothstep(0.045, 0.03, np.hypot(np.abs(point[0]) - EYES[0], point[1] - EYES[1]))
    iris = mix(colour("#5a3014"), colour("#080606"), pupil)
    return Surface(mix(colour("#2a1712"), iris, eye), roughness=0.12, gloss=0.06)


def _pink(point: Array, normal: Array) -> Surface:
    return Surface(colour("#d5707a") + 0 * point, roughness=0.3, gloss=0.05)


def _groomed(layers: Layers, camera: Camera, size: int) -> tuple[Array, Array]:
    """Lay hairs over the traced dog: short strokes of its own light, falling and curling.

    Eyes, nose and tongue stay bare.
    """
    draw = np.random.default_rng(69)
    shown = np.clip(layers.parts / 6, 0, 1) ** 0.5
    rows, columns = np.nonzero(layers.cover[0] > 0.5)
    left, right = vec(-EYES[0], *EYES[1:]), vec(*EYES)
    bare = np.concatenate([left, right, vec(*NOSE), vec(0, 1.98, 0.95)], 1)
    bare_x, bare_y, depth = camera.project(bare, size)
    reach = np.array([0.095, 0.095, 0.15, 0.18]) / depth / camera.half / 2 * size
    away = np.hypot(columns[:, None] - bare_x, rows[:, None] - bare_y) / reach
    keep = np.flatnonzero((away > 1).all(1))
    keep = draw.choice(keep, min(keep.size, 26000), replace=keep.size < 26000)
    curl = fbm(np.stack([columns[keep], rows[keep]]) / size * 14, 3, seed=70)
    fall = np.pi / 2 + 0.9 * curl + draw.normal(0, 0.25, keep.size)
    long = size * 0.030 * draw.uniform(0.4, 1.2, keep.size)
    canvas = Image.new("RGBA", (size * 2, size * 2))
    pen = ImageDraw.Draw(canvas)
    for k in draw.permutation(keep.size):
        row, column = int(rows[keep[k]]), int(columns[keep[k]])
        tint = np.clip(shown[:, row, column] * draw.uniform(0.86, 1.1) * 255, 0, 255).astype(int)
        x, y = 2 * column + 1.0, 2 * row + 1.0
        spine = [(x, y)]
        for step in (1, 2, 3):
            angle = fall[k] + 0.25 * step * curl[k]
            x, y = x + 0.66 * long[k] * np.cos(angle), y + 0.66 * long[k] * np.sin(angle)
            spine.append((float(x), float(y)))
        pen.line(spine, fill=(*(int(each) for each in tint), 255), width=max(1, round(size / 300)))
    pixels = np.asarray(canvas, np.float32).transpose(2, 0, 1) / 255
    pixels[:3] = pixels[:3] ** 2 * 6 * pixels[3:]
    hair = shrink(pixels, 2)
    light = over(hair[:3], hair[3:], layers.parts)
    return light, over(hair[3:], hair[3:], layers.cover)


def _hedge(x: Array, y: Array) -> Array:
    """Bushes, a strip of far meadow and a pale sky, out of focus."""
    light = mix(colour("#eef1f0")[:, :, None], colour("#a8c4e2")[:, :, None], smoothstep(0.3, 1, y))
    leaves = fbm(np.stack([x * 4, y * 4]), 5, seed=71, gain=0.6)
    green = mix(
        colour("#1c2f14")[:, :, None], colour("#86a350")[:, :, None], np.clip(0.42 + leaves, 0, 1)
    )
    crown = 0.62 + 0.25 * fbm(np.stack([x * 1.7 + 2, 0 * x]), 4, seed=72)
    light = mix(light * 1.2, green, smoothstep(0.04, -0.04, y - crown))
    field = colour("#8a9a4a")[:, :, None] * (1.1 + 0.4 * fbm(np.stack([x * 3, y * 22]), 3, seed=73))
    light = mix(light, field, smoothstep(0.13, 0.08, y))
    return aperture_blur(light.astype(np.float32), 13)
