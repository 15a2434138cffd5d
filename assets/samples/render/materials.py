"""Materials and surroundings that several scenes share."""

from __future__ import annotations

import numpy as np
from PIL import Image

from assets.samples.render.film import aperture_blur
from assets.samples.render.noise import fbm, noise, uniform
from assets.samples.render.trace import Environment, Surface
from assets.samples.render.vectors import Array, colour, dot, mix, smoothstep, unit, vec


def boards(point: Array, normal: Array, light: str = "#b5824e", dark: str = "#7a4a26") -> Surface:
    """A table or floor of oiled boards along x, 0.9 wide."""
    x, _, z = point
    row = np.floor(z / 0.9)
    shift = uniform(np.stack([row, row * 0]).astype(np.int64), 4)
    place = np.stack([x * 0.35 + 37 * shift, z * 2.2 + 11 * shift])
    warp = fbm(place * vec(0.6, 0.7), 3, seed=1)
    rings = np.sin((place[1] * 3.1 + 2.6 * warp) * 3.4)
    fibre = fbm(np.stack([x * 1.6 + 9 * shift, z * 46]), 4, seed=2, gain=0.65)
    tone = np.clip(0.5 + 0.22 * rings + 0.28 * fibre + 0.5 * (shift - 0.5), 0, 1)
    tint = mix(colour(dark), colour(light), tone)
    gap = smoothstep(0.022, 0.008, np.abs(z / 0.9 - np.round(z / 0.9)) * 0.9)
    tint = tint * (1 - 0.85 * gap)
    bent = unit(normal + vec(0.0, 0, 0.03) * fibre + vec(0.010, 0, 0.010) * noise(point * 2.5, 5))
    return Surface(tint, roughness=0.34, gloss=0.045, normal=bent)


def lawn(point: Array, normal: Array) -> Surface:
    """Mown grass from above: blades as cells of a jittered grid, each turned its own way."""
    place = point[[0, 2]]
    patch = fbm(place * 0.8, 4, seed=81)
    tint = mix(colour("#26381a"), colour("#4f6a2a"), np.clip(0.5 + 0.6 * patch, 0, 1))
    for layer, pitch in enumerate((0.30, 0.21, 0.15, 0.11)):
        shifted = place + 0.37 * layer
        cell = np.floor(shifted / pitch).astype(np.int64)
        draw = [uniform(cell, 82 + 5 * layer + k) for k in range(4)]
        offset = shifted / pitch - cell - 0.5 - 0.3 * (np.stack(draw[:2]) - 0.5)
        turn = draw[2] * np.float32(np.pi)
        u = np.cos(turn) * offset[0] + np.sin(turn) * offset[1]
        v = np.cos(turn) * offset[1] - np.sin(turn) * offset[0] + 0.35 * u * u
        blade = smoothstep(0.05, 0.0, np.abs(v) - 0.09 * (1 - 2 * np.abs(u))) * (np.abs(u) < 0.5)
        green = mix(colour("#4b6b26"), colour("#a3b856"), draw[3]) * (0.8 + 0.2 * layer)
        tint = mix(tint, np.where(draw[3] > 0.95, colour("#c2ab6a"), green), 0.85 * blade)
    bump = np.stack([noise(place * 12, 1), 0 * place[0], noise(place * 12, 2)])
    return Surface(tint, roughness=0.9, normal=unit(normal + 0.4 * bump))


def softboxes(
    *lamps: tuple[tuple[float, float, float], float, Array], room: Array, floor: Array
) -> Environment:
    """A room lit by round soft lamps: (direction, size as cosine, light) each."""

    def environment(direction: Array, roughness: float) -> Array:
        up = smoothstep(-0.25 - roughness, 0.25 + roughness, direction[1])
        light = mix(floor, room, up)
        for towards, cosine, power in lamps:
            facing = dot(unit(vec(*towards)), direction)
            soft = 0.03 + 0.6 * roughness
            # A rough surface sees the lamp wider and fainter.
            fade = (1 - cosine) / (1 - cosine + 0.55 * roughness * roughness)
            light = light + power * fade * smoothstep(cosine - soft, cosine + soft * 0.5, facing)
        return light

    return environment


def sample(picture: Image.Image, u: Array, v: Array) -> Array:
    """Linear light `(3, n)` of a picture at u, v in [0, 1] (v downwards), bilinear."""
    texels = (np.asarray(picture.convert("RGB"), np.float32) / 255) ** 2.2
    rows, columns = texels.shape[:2]
    x = np.clip(u * columns - 0.5, 0, columns - 1.001)
    y = np.clip(v * rows - 0.5, 0, rows - 1.001)
    left, top = x.astype(int), y.astype(int)
    fx, fy = (x - left)[:, None], (y - top)[:, None]
    upper = texels[top, left] * (1 - fx) + texels[top, left + 1] * fx
    lower = texels[top + 1, left] * (1 - fx) + texels[top + 1, left + 1] * fx
    return (upper * (1 - fy) + lower * fy).T.astype(np.float32)


def blurred_room(
    x: Array, y: Array, seed: int, wall: str, shade: str, spots: int, radius: float, horizon: float
) -> Array:
    """A room far out of focus: a wall with a gradient, some furniture, a few lamps."""
    draw = np.random.default_rng(seed)
    light = mix(colour(shade)[:, :, None], colour(wall)[:, :, None], 0.5 + 0.32 * x + 0.2 * y)
    light = light * (1 + 0.12 * fbm(np.stack([x * 1.3, y * 1.3]), 3, seed=seed))
    for _ in range(9):
        left, wide = draw.uniform(-1.1, 1.0), draw.uniform(0.08, 0.35)
        tall, base = draw.uniform(0.1, 0.7), horizon + draw.choice([0.0, 0.0, 0.45])
        tint = draw.uniform(0.02, 0.42, 3) * np.array([1.0, 0.85, 0.7])
        inside = (x > left) & (x < left + wide) & (y > base) & (y < base + tall)
        light = mix(light, tint[:, None, None], inside * 0.85)
    for _ in range(spots):
        px, py = draw.uniform(-1, 1), draw.uniform(horizon + 0.15, 1)
        spot = np.exp(-((x - px) ** 2 + (y - py) ** 2) / 2e-4)
        light = light + spot * draw.uniform(4, 22) * np.array([1, 0.78, 0.5])[:, None, None]
    return aperture_blur(light.astype(np.float32), radius)
