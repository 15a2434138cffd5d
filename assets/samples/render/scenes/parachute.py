"""A skydiver under a square parachute among summer clouds, through a long lens."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from assets.samples.render.film import over, shrink
from assets.samples.render.noise import fbm
from assets.samples.render.shot import Shot
from assets.samples.render.solids import capsule
from assets.samples.render.trace import Camera, Part, Scene, Surface, sky, trace
from assets.samples.render.vectors import Array, colour, length, mix, smoothstep, vec

HOME = Camera(eye=(-8.5, -6.5, 21.0), target=(0.35, 2.55, 0.0), fov=21.5)
SUN = (0.45, 0.72, 0.5)

# The canopy: an arc of radius RADIUS about the jumper's shoulders, CELLS cells wide.
RADIUS, HALF_ANGLE, CHORD, FRONT, CELLS = 5.2, 0.80, 2.9, 1.35, 9
SHOULDERS = vec(0, -0.15, 0)


def render(shot: Shot, size: int) -> Image.Image:
    """The sky, the canopy and the jumper before it, and the lines drawn between them."""
    scene = Scene(
        parts=(
            Part(_canopy, shot.paint(_fabric), ((0.0, 4.3, -0.1), 4.6)),
            Part(_suit, _suit_cloth, ((0.0, -0.55, 0.05), 1.15)),
            Part(_helmet, _helmet_paint, ((0.0, 0.22, 0.05), 0.25)),
        ),
        environment=sky(colour("#5d8fd0") * 1.1, colour("#c5daf0") * 1.2, colour("#8b9a86") * 0.7),
        sun=SUN,
        sun_light=vec(3.0, 2.8, 2.45),
        sun_size=0.03,
        reach=40.0,
    )
    camera = shot.camera(HOME)
    layers = trace(shot.relight(scene, camera), camera, size)
    sky_light = _sky(*camera.beyond(HOME, size)) * vec(*shot.light.far)[:, :, None]
    light = over(layers.parts, layers.cover, sky_light)
    lines = _lines(camera, size)
    light = over(lines[:3] * vec(*shot.light.sky)[:, :, None], lines[3:], light)
    # The jumper hangs before his own lines.
    _, row, _ = camera.project(vec(0, 0.05, 0), size)
    below = (np.arange(size) > row[0]).astype(np.float32)[None, :, None]
    light = over(layers.parts * below, layers.cover * below, light)
    return shot.finish(light, exposure=0.78, seed=5)


def _arc(point: Array) -> tuple[Array, Array, Array]:
    """Place on the canopy: across in cells, along the chord (0 front, 1 back), height above it."""
    angle = np.arctan2(point[0], point[1])
    across = (angle / HALF_ANGLE * 0.5 + 0.5) * CELLS
    along = (FRONT - point[2]) / CHORD
    return across, along, np.hypot(point[0], point[1]) - RADIUS


def _canopy(point: Array) -> Array:
    across, along, height = _arc(point)
    s = np.clip(along, 0, 1)
    thick = 0.2969 * np.sqrt(s) - 0.126 * s - 0.3516 * s**2 + 0.2843 * s**3 - 0.1036 * s**4
    ribs = np.abs(np.sin(np.pi * across))
    half = CHORD * (0.85 * thick + 0.012) + 0.10 * np.sqrt(ribs + 1e-4) * (0.3 + thick * 5)
    # Brakes half on: the tail is pulled down.
    middle = CHORD * (0.30 * s * (1 - s) - 0.10 * s**3)
    shell = np.abs(height - middle) - half
    ends = (np.abs(across - CELLS / 2) - CELLS / 2) * (2 * HALF_ANGLE * RADIUS / CELLS)
    chord = np.maximum(0.035 - along, along - 1) * CHORD
    inside = np.maximum(shell, np.maximum(ends, chord))
    outside = length(np.maximum(np.stack([shell, ends, chord]), 0))
    return np.where(inside > 0, outside, inside) * 0.55


def _fabric(point: Array, normal: Array) -> Surface:
    across, along, height = _arc(point)
    cell = np.clip(np.floor(across), 0, CELLS - 1).astype(int)
    tones = np.concatenate(
        [colour(code) for code in ("#d4202a", "#f4f1ea", "#f2b21c", "#1f4fae")], 1
    )
    tint = tones[:, np.array([3, 0, 2, 0, 1, 0, 2, 0, 3])[cell]]
    band = (along > 0.62) & (along < 0.74)
    tint = np.where(band, tones[:, 1:2], tint)
    tint = np.where(along > 0.86, tones[:, 3:4], tint)
    seam = smoothstep(0.035, 0.012, np.abs(across - np.round(across)))
    tint = tint * (1 - 0.45 * seam)
    crease = fbm(np.stack([across * 2.2, along * 9 + 3 * across]), 4, seed=7)
    tint = tint * (1 + 0.10 * crease)
    # The cells are open at the front: one looks into the dark.
    mouth = smoothstep(0.055, 0.045, along) * smoothstep(0.30, 0.24, np.abs(height - 0.02) * 2)
    tint = tint * (1 - 0.93 * mouth * (1 - seam))
    bent = normal + 0.16 * fbm(point * vec(3.1, 3.1, 5.0), 3, seed=3) * vec(0.6, -0.3, 1.0)
    bent = bent / length(bent)
    return Surface(tint, roughness=0.55, gloss=0.03, normal=bent, glow_through=0.30)


def _suit(point: Array) -> Array:
    limbs = (
        ((0.0, -0.12, 0.02), (0.0, -0.62, -0.02), 0.17),
        ((-0.10, -0.68, 0.0), (-0.17, -1.08, 0.22), 0.098),
        ((-0.17, -1.08, 0.22), (-0.19, -1.50, 0.02), 0.078),
        ((0.10, -0.68, 0.0), (0.15, -1.10, 0.16), 0.098),
        ((0.15, -1.10, 0.16), (0.18, -1.52, -0.10), 0.078),
        ((-0.19, -1.50, 0.02), (-0.20, -1.55, 0.20), 0.062),
        ((0.18, -1.52, -0.10), (0.19, -1.57, 0.08), 0.062),
        ((-0.18, -0.10, 0.0), (-0.37, 0.05, 0.14), 0.07),
        ((-0.37, 0.05, 0.14), (-0.30, 0.33, 0.12), 0.058),
        ((0.18, -0.10, 0.0), (0.37, 0.05, 0.14), 0.07),
        ((0.37, 0.05, 0.14), (0.30, 0.33, 0.12), 0.058),
        ((0.0, -0.18, -0.19), (0.0, -0.52, -0.20), 0.12),
    )
    best = capsule(point, *limbs[0])
    for limb in limbs[1:]:
        best = np.minimum(best, capsule(point, *limb))
    return best


def _suit_cloth(point: Array, normal: Array) -> Surface:
    dark, bright, skin = colour("#20242e"), colour("#c9262c"), colour("#caa07e")
    leg = smoothstep(-0.60, -0.66, point[1])
    cloth = mix(bright, dark, leg)
    cloth = mix(cloth, dark, smoothstep(-0.11, -0.14, point[2]))
    straps = smoothstep(0.035, 0.022, np.abs(np.abs(point[0]) - 0.10)) * (1 - leg)
    cloth = mix(cloth, dark, straps)
    cloth = mix(cloth, skin, smoothstep(0.22, 0.25, point[1]))
    cloth = mix(cloth, colour("#d8d8d2"), smoothstep(-1.46, -1.49, point[1]))
    return Surface(cloth * (1 + 0.3 * fbm(point * 9, 3, seed=2)), roughness=0.8)


def _helmet(point: Array) -> Array:
    return length((point - vec(0, 0.2, 0.03)) * vec(1.05, 0.92, 0.95)) - 0.145


def _helmet_paint(point: Array, normal: Array) -> Surface:
    face = smoothstep(0.25, 0.20, point[1]) * smoothstep(0.08, 0.12, point[2])
    return Surface(mix(colour("#f0f0f0"), colour("#262626"), face), roughness=0.25)


def _lines(camera: Camera, size: int) -> Array:
    """The suspension lines: premultiplied light and coverage `(4, y, x)`."""
    canvas = Image.new("L", (size * 3, size * 3))
    pen = ImageDraw.Draw(canvas)
    for rib in range(CELLS + 1):
        angle = (rib / CELLS * 2 - 1) * HALF_ANGLE
        side = -0.24 if rib < (CELLS + 1) / 2 else 0.24
        for along in (0.08, 0.34, 0.62, 0.93):
            reach = RADIUS - (0.16 if along < 0.7 else 0.26)
            top = vec(reach * np.sin(angle), reach * np.cos(angle), FRONT - CHORD * along)
            riser = vec(side, 0.42, 0.08 if along < 0.5 else -0.08)
            # Lines of one rib meet in a cascade a metre below the cloth.
            knot = mix(top, riser, 0.22)
            knot[2] = mix(knot[2], vec(0.45 if along < 0.5 else -0.55)[0], 0.7)
            for a, b in ((top, knot), (knot, riser), (riser, vec(side * 0.7, -0.08, 0))):
                column, row, _ = camera.project(np.concatenate([a, b], 1), size * 3)
                pen.line([(column[0], row[0]), (column[1], row[1])], fill=125, width=2)
    cover = shrink(np.asarray(canvas, np.float32)[None] / 255, 3)
    return np.concatenate([cover * colour("#ded9cc")[:, :, None] * 0.9, cover])


def _sky(x: Array, y: Array) -> Array:
    """Deep blue above, haze below, and sunlit cumulus."""
    up = np.clip((y + 1) / 2, 0, 1)
    clear = mix(colour("#9cc3ea")[:, :, None], colour("#2a64b4")[:, :, None], up**0.8)
    clear = mix(colour("#d5e4f0")[:, :, None], clear, smoothstep(-0.1, 0.55, up)) * 1.25

    def density(dx: float, dy: float) -> Array:
        place = np.stack([(x + dx) * 1.15 + 3.1, (y + dy) * 1.75 + 0.4])
        drift = np.stack([fbm(place * 0.9 + 7, 3, seed=31), fbm(place * 0.9 - 5, 3, seed=32)])
        puff = fbm(place + 0.35 * drift, 7, seed=33, gain=0.53)
        bank = 0.30 * smoothstep(0.35, -1.0, y + dy) - 0.22 * smoothstep(0.0, 0.9, y + dy)
        return puff + bank + 0.02

    here = density(0, 0)
    towards = sum(density(0.035 * k, 0.06 * k) for k in (1, 2, 3)) / 3
    cover = smoothstep(0.02, 0.42, here)
    bright = np.clip(0.80 + 1.1 * (here - towards) - 0.25 * smoothstep(0.2, 1.0, here), 0.3, 1.25)
    cloud = mix(colour("#8f9fb8")[:, :, None], colour("#fffaf0")[:, :, None], bright) * 1.7
    light = mix(clear, cloud, cover * 0.96)
    return light.astype(np.float32)
