"""What nobody meant to photograph: things that stand about, and what hangs before the lens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

import numpy as np
from PIL import Image, ImageDraw

from assets.samples.render.film import aperture_blur, grid, shrink
from assets.samples.render.noise import fbm
from assets.samples.render.solids import Field, box, cylinder, union
from assets.samples.render.trace import Part, Surface
from assets.samples.render.vectors import Array, colour, length, mix, smoothstep, turned, vec

Front: TypeAlias = Literal["", "leaves", "fence", "stalks", "branch"]
Bound: TypeAlias = tuple[tuple[float, float, float], float] | None

_PAINTS = ("#b98a58", "#3f6fa8", "#b5382e", "#d9d4c8", "#3a3d42", "#d0a733", "#4b7a4a", "#7d5a8a")


def things(count: int, seed: int, around: Bound) -> tuple[Part, ...]:
    """`count` boxes, tins and balls on the floor round the bounding sphere `around`, as one part."""
    if not count or around is None:
        return ()
    draw = np.random.default_rng(900 + seed)
    (x, _, z), reach = around
    solids: list[Field] = []
    paints: list[Array] = []
    for _ in range(count):
        heading, away = draw.uniform(0, 2 * np.pi), reach * draw.uniform(0.85, 1.5)
        place = (x + away * float(np.cos(heading)), z + away * float(np.sin(heading)))
        size = reach * float(draw.uniform(0.14, 0.32))
        kind, turn = (0, 1, 0, 1, 2)[int(draw.integers(5))], float(draw.uniform(0, 180))
        solids.append(_thing(kind, place, size, turn))
        paints.append(colour(_PAINTS[int(draw.integers(len(_PAINTS)))]))

    def solid(point: Array) -> Array:
        return union(*(each(point) for each in solids))

    def material(point: Array, normal: Array) -> Surface:
        nearest = np.argmin(np.stack([each(point) for each in solids]), 0)
        tint = np.concatenate(paints, 1)[:, nearest]
        label = (np.sin(point[1] * 7 + nearest) > 0.75).astype(np.float32)
        tint = mix(tint, colour("#e8e2d2"), 0.6 * label) * (1 + 0.2 * fbm(point * 6, 3))
        return Surface(tint, roughness=0.5)

    return (Part(solid, material, ((x, 0.0, z), 2.0 * reach)),)


def _thing(kind: int, place: tuple[float, float], size: float, turn: float) -> Field:
    tall = size * (1.0, 1.3, 0.8)[kind]

    def solid(point: Array) -> Array:
        here = turned(point - vec(place[0], tall, place[1]), 1, turn)
        if kind == 0:
            return box(here, (size, tall, 0.75 * size), 0.04 * size)
        if kind == 1:
            return cylinder(here, 1, 0.62 * size, tall, 0.06 * size)
        return length(here) - tall

    return solid


def _leaves(size: int, seed: int) -> Array:
    """Foliage that leans into the picture from one upper corner, out of focus."""
    x, y = grid(size)
    draw = np.random.default_rng(seed)
    side = 1 if draw.uniform() < 0.5 else -1
    place = np.stack([x, y]) + seed * 3.1
    ragged = 0.34 * fbm(place * 3.4, 4, seed=seed)
    cover = smoothstep(0.02, 0.14, ragged + 0.9 * (side * x) + 0.75 * y - 1.0)
    tone = np.clip(0.5 + 0.9 * fbm(place * 5, 4, seed=seed + 1), 0, 1)
    green = mix(colour("#1c3414")[:, :, None], colour("#7d9d3c")[:, :, None], tone)
    return aperture_blur(np.concatenate([green * cover, cover[None]]), 5)


def _fence(size: int, seed: int) -> Array:
    """Chain link, one mesh a fifth of the picture."""
    x, y = grid(size)
    draw = np.random.default_rng(seed)
    pitch, turn = draw.uniform(0.42, 0.55), draw.uniform(-0.05, 0.05)
    u, v = (x + y + turn * x) / pitch, (x - y + turn * y) / pitch
    wire = np.minimum(np.abs(u - np.round(u)), np.abs(v - np.round(v))) * pitch
    cover = smoothstep(0.032, 0.018, wire)
    tone = colour("#8d9093")[:, :, None] * (0.75 + 0.5 * smoothstep(0.0, 0.02, wire))
    return aperture_blur(np.concatenate([tone * cover, cover[None]]), 2.2)


def _stalks(size: int, seed: int) -> Array:
    """Dry grass close to the lens, from below."""
    draw = np.random.default_rng(seed)
    canvas = Image.new("RGBA", (size * 2, size * 2))
    pen = ImageDraw.Draw(canvas)
    for _ in range(46):
        x, tall = draw.uniform(-0.1, 1.1), draw.uniform(0.12, 0.55) * draw.uniform(0.5, 1)
        lean, wide = draw.normal(0, 0.13), draw.uniform(0.004, 0.010)
        tint = tuple(int(each) for each in np.array((150, 160, 80)) * draw.uniform(0.5, 1.2))
        spine = [(x + lean * t * t, 1.02 - tall * t) for t in np.linspace(0, 1, 9)]
        wides = wide * (1 - np.linspace(0, 1, 9) ** 2)
        left = [(a - w, b) for (a, b), w in zip(spine, wides, strict=True)]
        right = [(a + w, b) for (a, b), w in zip(spine, wides, strict=True)]
        outline = [(a * 2 * size, b * 2 * size) for a, b in left + right[::-1]]
        pen.polygon(outline, fill=(*tint, 255))
    return _loosely(canvas, 3.5)


def _branch(size: int, seed: int) -> Array:
    """A bare twig with a few leaves across the picture."""
    draw = np.random.default_rng(seed)
    canvas = Image.new("RGBA", (size * 2, size * 2))
    pen = ImageDraw.Draw(canvas)
    side = 1 if draw.uniform() < 0.5 else -1

    def grow(x: float, y: float, angle: float, reach: float, depth: int) -> None:
        for _ in range(3):
            nx, ny = x + side * np.cos(angle) * reach, y + np.sin(angle) * reach
            line = [(x * 2 * size, y * 2 * size), (nx * 2 * size, ny * 2 * size)]
            pen.line(line, fill=(58, 44, 34, 255), width=max(1, round(size * 0.006 * (depth + 1))))
            x, y, angle = nx, ny, angle + draw.normal(0, 0.22)
            if depth:
                grow(x, y, angle + draw.choice([-0.7, 0.7]), reach * 0.6, depth - 1)
            else:
                a, b, r = x * 2 * size, y * 2 * size, size * draw.uniform(0.018, 0.04)
                tint = tuple(int(each) for each in np.array((110, 140, 52)) * draw.uniform(0.5, 1))
                pen.ellipse((a - r, b - 0.6 * r, a + r, b + 0.6 * r), fill=(*tint, 255))

    grow(-0.05 if side > 0 else 1.05, draw.uniform(0.05, 0.35), draw.uniform(0.1, 0.6), 0.16, 2)
    return _loosely(canvas, 2.5)


def _loosely(canvas: Image.Image, radius: float) -> Array:
    """A painted layer as premultiplied linear light and coverage, out of focus."""
    pixels = np.asarray(canvas, np.float32).transpose(2, 0, 1) / 255
    pixels[:3] = pixels[:3] ** 2.2 * pixels[3:]
    return aperture_blur(shrink(pixels, 2), radius)


FRONTS: Mapping[Front, Callable[[int, int], Array]] = {
    "leaves": _leaves,
    "fence": _fence,
    "stalks": _stalks,
    "branch": _branch,
}
