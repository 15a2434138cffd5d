"""A tench: laid on the grass of a bank, or held up by the angler who will put it back."""

from __future__ import annotations

import numpy as np
from PIL import Image

from assets.samples.render.film import aperture_blur
from assets.samples.render.materials import lawn
from assets.samples.render.noise import fbm, noise
from assets.samples.render.shot import Shot, photograph
from assets.samples.render.solids import box, capsule, cylinder, torus, union
from assets.samples.render.trace import Camera, Part, Scene, Surface, sky
from assets.samples.render.vectors import Array, colour, length, mix, smoothstep, turned, unit, vec

GRASS = Camera(eye=(0.3, 4.3, 4.6), target=(0.0, 0.25, 0.0), fov=41.0)
HELD = Camera(eye=(0.4, 0.2, 9.6), target=(0.08, -0.42, 0.0), fov=26.5)
SUN = (-0.45, 0.8, 0.5)

# Half the body's height from the snout (0) to the root of the tail (1), smoothed.
_PLACES = (0, 0.05, 0.15, 0.30, 0.45, 0.60, 0.75, 0.90, 1.0)
_HEIGHTS = (0.06, 0.19, 0.37, 0.54, 0.60, 0.54, 0.40, 0.28, 0.25)
_FINE = np.linspace(0, 1, 240)
_PROFILE = np.convolve(
    np.pad(np.interp(_FINE, _PLACES, _HEIGHTS), 12, mode="edge"), np.ones(25) / 25, "valid"
)
SNOUT, ROOT = -1.9, 1.5


def on_grass(shot: Shot, size: int) -> Image.Image:
    """The fish on its side, its back away from the camera."""
    scene = Scene(
        parts=(
            *tuple(_lying(part) for part in _fish(shot)),
            Part(_rod, _cork, ((0.0, 0.1, -1.35), 4.2)),
        ),
        environment=sky(colour("#7fa6d8"), colour("#dfe6e4"), colour("#4b5a2a") * 0.8),
        sun=SUN,
        sun_light=vec(2.6, 2.4, 2.0),
        floor=lawn,
        ambient=0.8,
    )
    return photograph(
        scene, GRASS, _bank, shot, size, exposure=0.8, seed=23, lens=14, widest=8, floor=0.6
    )


def held(shot: Shot, size: int) -> Image.Image:
    """The fish before an angler's jacket; the lake and its far bank behind."""
    scene = Scene(
        parts=(
            *(Part(part.solid, part.material, ((0.05, 0.0, 0.0), 2.4)) for part in _fish(shot)),
            Part(_hands, _skin, ((0.0, -0.45, 0.0), 2.6)),
            Part(_jacket, _cloth, ((0.0, -1.5, -1.1), 4.4)),
            Part(_face, _skin, ((0.0, 2.0, -1.2), 1.3)),
        ),
        environment=sky(colour("#7fa6d8"), colour("#dfe6e4"), colour("#56624a") * 0.8),
        sun=SUN,
        sun_light=vec(2.4, 2.25, 1.95),
        ambient=0.8,
    )
    return photograph(scene, HELD, _lake, shot, size, exposure=0.8, seed=24, floor=-2.0)


def _fish(shot: Shot) -> tuple[Part, ...]:
    return (
        Part(_body, shot.paint(_scales)),
        Part(_fins, shot.paint(_webs)),
        Part(_eye, _iris),
    )


def _lying(part: Part) -> Part:
    """The same part with the fish on its side on the floor, its head to the left."""

    def place(point: Array) -> Array:
        x, y, z = turned(point - vec(0, 0.31, 0), 1, -12)
        return np.stack([x, -z, y])

    def material(point: Array, normal: Array) -> Surface:
        x, y, z = turned(normal, 1, -12)
        surface = part.material(place(point), np.stack([x, -z, y]))
        if surface.normal is None:
            return surface
        x, y, z = surface.normal
        return surface._replace(normal=turned(np.stack([x, z, -y]), 1, 12))

    return Part(lambda point: part.solid(place(point)), material, ((0.05, 0.3, 0.0), 2.3))


def _half(x: Array) -> Array:
    """Half the body's height at x."""
    share = np.clip((x - SNOUT) / (ROOT - SNOUT), 0, 1)
    return np.interp(share, _FINE, _PROFILE).astype(np.float32)


def _body(point: Array) -> Array:
    x, y, z = point
    tall = _half(x)
    wide = tall * 0.56
    ring = (np.hypot((y + 0.06 * tall) / tall, z / wide) - 1) * wide
    ends = np.maximum(SNOUT - x, x - ROOT)
    gill = np.abs(np.hypot(x + 1.55, y * 0.9) - 0.58) - 0.012
    gill = np.maximum(gill, np.maximum(-1.3 - x, np.abs(y + 0.05) - 0.36))
    return np.maximum(np.maximum(ring, ends), -np.maximum(gill, -ring - 0.03)) * 0.6


def _fin(
    point: Array, at: tuple[float, float, float], half: tuple[float, float], lean: float
) -> Array:
    """A thin ellipse in the plane of the body, leaning by degrees."""
    place = turned(point - vec(*at), 2, lean)
    flat = (np.hypot(place[0] / half[0], place[1] / half[1]) - 1) * min(half)
    return np.maximum(flat, np.abs(place[2]) - 0.025) * 0.75


def _fins(point: Array) -> Array:
    x, y, z = point
    fan = np.maximum(np.abs(y) - 0.22 - 0.55 * (x - 1.4), np.hypot(x - 1.2, y * 0.75) - 0.92)
    tail = np.maximum(np.maximum(fan, 1.3 - x) * 0.8, np.abs(z) - 0.03)
    side = np.stack([x, y, np.abs(z) - 0.30 + 0.1 * (x + 0.9)])
    return union(
        tail,
        _fin(point, (0.10, 0.66, 0.0), (0.46, 0.34), 18),
        _fin(point, (0.92, -0.45, 0.0), (0.34, 0.26), 35),
        _fin(side, (-0.72, -0.36, 0.03), (0.34, 0.21), 28),
        _fin(point - vec(0, 0, 0.1), (0.02, -0.66, 0.0), (0.36, 0.26), 30),
    )


def _eye(point: Array) -> Array:
    return length(np.stack([point[0] + 1.55, point[1] - 0.09, np.abs(point[2]) - 0.135])) - 0.07


def _scales(point: Array, normal: Array) -> Surface:
    """Olive back, golden flank, pale belly; very small scales under slime."""
    x, y, _z = point
    up = y / np.maximum(_half(x), 0.1) + 0.12 * fbm(point * 3, 3, seed=2)
    gold, olive, pale = colour("#8d7a33"), colour("#353c1c"), colour("#d0ab5c")
    tint = mix(gold, olive, smoothstep(0.05, 0.85, up))
    tint = mix(tint, pale, smoothstep(-0.35, -0.95, up))
    row = y / 0.052
    column = x / 0.064 + 0.5 * (np.floor(row) % 2)
    bow = np.hypot(column - np.round(column), row - np.floor(row) - 0.2)
    edge = smoothstep(0.30, 0.55, bow) * (x > -0.95)
    tint = tint * (1 - 0.34 * edge) * (1 + 0.15 * fbm(point * 7, 3, seed=3))
    line = smoothstep(0.02, 0.008, np.abs(y - 0.02 - 0.04 * x)) * (x > -0.95)
    mouth = smoothstep(0.022, 0.008, np.abs(y + 0.10 - 0.25 * (x + 1.9))) * (x < -1.68)
    cheek = smoothstep(0.06, 0.0, np.abs(np.hypot(x + 1.55, y * 0.9) - 0.60)) * (x < -0.9)
    tint = tint * (1 - 0.5 * line) * (1 - 0.8 * mouth) * (1 - 0.45 * cheek * (x > -1.3))
    bump = np.stack([noise(point * 16 + 9 * k, seed=k) for k in range(3)])
    return Surface(tint, roughness=0.24, gloss=0.06, normal=unit(normal + 0.07 * bump))


def _webs(point: Array, normal: Array) -> Surface:
    """Dark fins with rays."""
    heading = np.arctan2(point[1], point[0] - 0.6)
    rays = 0.5 + 0.5 * np.sin(heading * 60)
    tint = mix(colour("#2c2a18"), colour("#6b5c30"), rays)
    return Surface(tint, roughness=0.3, gloss=0.05, glow_through=0.2)


def _iris(point: Array, normal: Array) -> Surface:
    away = np.hypot(point[0] + 1.55, point[1] - 0.09)
    tint = mix(colour("#0a0a0a"), colour("#d2521a"), smoothstep(0.026, 0.032, away))
    return Surface(tint, roughness=0.1, gloss=0.08)


def _rod(point: Array) -> Array:
    """A rod laid down beyond the fish, with its reel."""
    pole = capsule(point, (-4.0, 0.09, -1.0), (4.0, 0.09, -1.75), 0.035)
    grip = capsule(point, (-2.4, 0.1, -1.15), (-0.9, 0.1, -1.29), 0.085)
    reel = cylinder(point - vec(-0.5, 0.16, -1.06), 0, 0.20, 0.14, 0.04)
    return union(pole, grip, reel)


def _cork(point: Array, normal: Array) -> Surface:
    cork = ((point[0] > -2.4) & (point[0] < -0.9)).astype(np.float32)
    tint = mix(colour("#23262b"), colour("#c39a66") * (1 + 0.4 * fbm(point * 9, 3)), cork)
    return Surface(tint, roughness=0.3, gloss=0.06)


def _hands(point: Array) -> Array:
    """Each hand holds from below: a palm under the belly, four fingers up the near side."""
    fields: list[Array] = []
    for side, x in ((-1, -0.78), (1, 0.98)):
        low = -0.58 if side < 0 else -0.42
        palm = point - vec(x, low - 0.12, -0.02)
        fields.append(box(turned(palm, 2, side * 12), (0.42, 0.14, 0.36), 0.13))
        for k in range(4):
            at = x + 0.20 * (k - 1.5)
            knuckle = (at, low - 0.10, 0.34)
            tip = (at - side * 0.05, low + 0.22 - 0.03 * abs(k - 1.5), 0.40)
            fields.append(capsule(point, knuckle, tip, 0.092))
        wrist = (x + side * 0.42, low - 0.20, -0.15)
        fields.append(capsule(point, wrist, (x + side * 1.1, low - 0.75, -0.5), 0.24))
    return union(*fields)


def _jacket(point: Array) -> Array:
    trunk = box(point - vec(0, -1.9, -1.35), (1.5, 3.1, 0.62), 0.55)
    fields = [trunk, torus(point - vec(0, 1.28, -1.3), 1, 0.42, 0.17)]
    for side, x, low in ((-1, -0.78, -0.58), (1, 0.98, -0.42)):
        elbow = (x + side * 1.25, low - 1.0, -0.75)
        fields.append(capsule(point, (x + side * 0.8, low - 0.52, -0.35), elbow, 0.35))
        fields.append(capsule(point, elbow, (side * 1.45, 0.75, -1.35), 0.46))
    folds = 0.018 * fbm(point * vec(1.6, 2.4, 1.6), 2, seed=31)
    return (union(*fields) + folds) * 0.8


def _face(point: Array) -> Array:
    """Neck, chin and the lower face: the rest is above the picture."""
    neck = capsule(point, (0, 1.0, -1.3), (0, 1.9, -1.25), 0.36)
    head = (length((point - vec(0, 2.35, -1.1)) / vec(0.52, 0.68, 0.58)) - 1) * 0.5
    return np.minimum(neck, head)


def _skin(point: Array, normal: Array) -> Surface:
    tint = colour("#c98f6e") * (1 + 0.14 * fbm(point * 7, 4, seed=4))
    return Surface(tint, roughness=0.5, gloss=0.04)


def _cloth(point: Array, normal: Array) -> Surface:
    """A jacket in olive with a zip and darker pockets."""
    patch = smoothstep(-0.05, 0.1, fbm(point * 1.3, 3, seed=41))
    tint = mix(colour("#55603c"), colour("#39412b"), patch)
    tint = mix(tint, colour("#7a6a48"), 0.8 * smoothstep(0.15, 0.3, fbm(point * 1.5, 3, seed=43)))
    zip_ = smoothstep(0.05, 0.03, np.abs(point[0] - 0.02)) * (point[2] > -1.4)
    tint = tint * (1 - 0.7 * zip_)
    weave = np.stack([noise(point * 30 + 7 * k, seed=k) for k in range(3)])
    return Surface(tint, roughness=0.85, normal=unit(normal + 0.15 * weave))


def _bank(x: Array, y: Array) -> Array:
    """Reeds and water beyond the grass, for a low camera."""
    return _lake(x, y - 1.4)


def _lake(x: Array, y: Array) -> Array:
    """Water with the trees of the far bank standing in it, out of focus."""
    light = mix(colour("#e8eef0")[:, :, None], colour("#8fb4dc")[:, :, None], smoothstep(0.2, 1, y))
    light = light * 1.25
    for flip in (1, -1):
        high = flip * (y - 0.12)
        leaves = fbm(np.stack([x * 5, high * 5]), 4, seed=53, gain=0.6)
        crown = 0.42 + 0.20 * fbm(np.stack([x * 2.3, 0 * x]), 4, seed=54)
        green = mix(
            colour("#1f3218")[:, :, None],
            colour("#7f9a4e")[:, :, None],
            np.clip(0.4 + leaves, 0, 1),
        )
        dim = 1.0 if flip > 0 else 0.55
        light = mix(light, green * dim, smoothstep(0.04, -0.04, high - crown) * (high > 0))
    water = fbm(np.stack([x * 2.5, y * 26]), 4, seed=55)
    below = smoothstep(0.13, 0.10, y)
    light = mix(light, colour("#9fb6bd")[:, :, None] * (1 + 0.5 * water), 0.55 * below)
    reeds = smoothstep(0.1, 0.5, fbm(np.stack([x * 22, y * 2.0]), 3, seed=56) - 1.4 * (y + 0.45))
    light = mix(light, colour("#8b8a4a")[:, :, None], reeds)
    return aperture_blur(light.astype(np.float32), 9)
