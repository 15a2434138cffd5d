"""A golf ball in the grass of a fairway on a sunny morning, seen from close to the ground."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from assets.samples.render.film import aperture_blur, over, shrink
from assets.samples.render.noise import fbm
from assets.samples.render.shot import Shot, mirrored
from assets.samples.render.trace import Camera
from assets.samples.render.vectors import (
    Array,
    colour,
    dot,
    length,
    mix,
    reflect,
    smoothstep,
    turned,
    unit,
    vec,
)

HOME = Camera(eye=(0.0, 1.75, -6.4), target=(0.0, 1.02, 0.0), fov=34.0)
BALL = vec(0.12, 0.86, 0.0)  # radius 1: the unit of length is 21 mm
SUN = (-0.78, 0.66, -0.22)
SUN_LIGHT = vec(3.3, 3.05, 2.6)
SKY_LIGHT = vec(0.42, 0.55, 0.75)
# Slices of depth, each with its own blur; the ball is laid in at the one that is its own.
DEPTHS = (60.0, 30, 20, 15, 12, 10, 8.8, 7.7, 7.0, 6.45, 6.0, 5.5, 5.0, 4.5, 4.0, 3.4, 2.2)
BALL_AT = 9


def render(shot: Shot, size: int) -> Image.Image:
    """Back to front: trees, grass by depth with its own blur, the ball between."""
    camera = shot.camera(HOME, floor=0.35)
    lamp = _Lamp.of(shot, camera)
    x, y = camera.beyond(HOME, size)
    light = _trees(mirrored(x), y) * vec(*shot.light.far)[:, :, None]
    ball, cover = _ball(camera, size, lamp)
    blades = _blades(camera, size, lamp, shot)
    order = np.argsort(-blades.depth)
    away = float(length(BALL - vec(*camera.eye))[0])
    slices = pairwise(np.array(DEPTHS) * away / DEPTHS[BALL_AT])
    for index, (far, near) in enumerate(slices, 1):
        inside = order[(blades.depth[order] <= far) & (blades.depth[order] > near)]
        radius = min(22.4 * abs((away - 0.7) / (0.5 * (far + near)) - 1), 30)
        layer = aperture_blur(_paint(blades, inside, size), radius)
        light = over(layer[:3], np.minimum(layer[3:], 1), light)
        if index == BALL_AT:
            light = over(ball, cover, light)
    return shot.finish(light, exposure=0.5, seed=11)


class _Lamp(NamedTuple):
    """Where the sun stands, and the light of sun and sky."""

    sun: Array
    direct: Array
    sky: Array

    @classmethod
    def of(cls, shot: Shot, camera: Camera) -> _Lamp:
        """The scene's own sun and sky in the light of a shot."""
        sun = shot.sun(camera, SUN)
        return cls(
            unit(vec(*sun)), SUN_LIGHT * vec(*shot.light.direct), SKY_LIGHT * vec(*shot.light.sky)
        )


class Blades:
    """Grass blades as screen polygons: outline `(2, k, stations)` each side, colour, depth."""

    def __init__(self, left: Array, right: Array, tint: Array, depth: Array) -> None:
        self.left, self.right, self.tint, self.depth = left, right, tint, depth


def _blades(camera: Camera, size: int, lamp: _Lamp, shot: Shot) -> Blades:
    draw = np.random.default_rng(3 + shot.seed)
    eye, ahead = vec(*camera.eye), camera.axes()[0] * vec(1, 0, 1)
    ahead = unit(ahead)
    aside_of = np.stack([-ahead[2], ahead[1], ahead[0]])
    past = float(length(BALL - eye)[0]) + 3.3
    count = int(min(30000 * (past / 9.9) ** 1.5, 70000))
    away = np.concatenate(
        [draw.uniform(1.8, past, count), past + 26 * draw.uniform(0, 1, 22000) ** 1.7]
    )
    reach = (away + 0.8) * 1.2 * camera.half * (1 + abs(camera.aim[0])) + 0.6
    across = draw.uniform(-1, 1, away.size) * reach
    root = eye * vec(1, 0, 1) + ahead * away + aside_of * across
    root = root.astype(np.float32)
    aside = length(root[[0, 2]] - BALL[[0, 2]])
    root = root[:, aside > 0.62]
    count = root.shape[1]
    aside = length(root[[0, 2]] - BALL[[0, 2]])
    patch = fbm(root[[0, 2]] * 0.35, 3, seed=5)
    tall = draw.uniform(0.28, 0.78, count) * (1 + 0.25 * patch)
    nearer = dot(root - BALL, ahead) < 0
    tall *= np.where((aside < 1.35) & nearer, 0.72, 1)
    heading = draw.uniform(0, 2 * np.pi, count)
    lean = np.abs(draw.normal(0.0, 0.42, count)) * tall
    lean_x, lean_z = np.cos(heading) * lean + 0.07, np.sin(heading) * lean
    # Blades near the ball are pushed outwards by it.
    push = 0.4 * smoothstep(1.25, 0.7, aside) * tall
    lean_x += push * (root[0] - BALL[0]) / aside
    lean_z += push * (root[2] - BALL[2]) / aside
    width = draw.uniform(0.035, 0.075, count)
    stations = np.linspace(0, 1, 5, dtype=np.float32)
    spine = root[:, :, None] + np.stack(
        [
            lean_x[:, None] * stations**2,
            tall[:, None] * (stations - 0.18 * stations**3),
            lean_z[:, None] * stations**2,
        ]
    )
    spine = spine.astype(np.float32)
    column, row, depth = camera.project(spine.reshape(3, -1), size * 2)
    column, row = column.reshape(count, -1), row.reshape(count, -1)
    depth = depth.reshape(count, -1)
    half = width[:, None] * (1 - stations**1.6) * size / camera.half / depth
    half = np.maximum(half, 0.45)
    along = np.stack([np.gradient(column, axis=1), np.gradient(row, axis=1)])
    across = np.stack([-along[1], along[0]]) / np.maximum(np.hypot(*along), 1e-6)
    # A blade seen edge-on is narrower.
    across *= (0.35 + 0.65 * np.abs(np.sin(heading * 1.7 + 1)))[:, None]
    centre = np.stack([column, row])
    tint = _blade_light(spine, patch, draw, lamp)
    return Blades(
        (centre - across * half).astype(np.float32),
        (centre + across * half).astype(np.float32),
        tint,
        depth.mean(1),
    )


def _blade_light(spine: Array, patch: Array, draw: np.random.Generator, lamp: _Lamp) -> Array:
    """Linear light of each blade at each station `(3, k, stations)`."""
    count, stations = spine.shape[1:]
    up = np.linspace(0, 1, stations, dtype=np.float32)
    fresh, deep = colour("#86a63c")[:, :, None], colour("#3c6426")[:, :, None]
    straw = colour("#c9b877")[:, :, None]
    hue = np.clip(draw.normal(0.5, 0.3, count) + 0.3 * patch, 0, 1).astype(np.float32)
    albedo = mix(deep, fresh, hue[None, :, None])
    albedo = np.where((draw.uniform(size=count) < 0.05)[None, :, None], straw, albedo)
    albedo = albedo * (0.75 + 0.5 * draw.uniform(size=(1, count, 1)))
    points = spine.reshape(3, -1)
    shade = _sun_reaches(points, lamp.sun).reshape(count, stations)
    below = np.clip(length(points - BALL).reshape(count, stations) - 1, 0, 3)
    open_ = (0.04 + 0.96 * up**1.6) * (1 - 0.75 * np.exp(-below / 0.28))
    glint = np.clip(draw.normal(0.55, 0.35, count), 0.12, 1.5)[:, None]
    direct = lamp.direct[:, :, None] * (shade * glint * (0.02 + 0.98 * up**1.4))
    shine = 0.05 * (draw.uniform(size=(count, 1)) ** 8) * lamp.direct[:, :, None] * shade * up
    light = albedo * (direct + lamp.sky[:, :, None] * open_ * 0.8) + shine * 4
    return light.astype(np.float32)


def _sun_reaches(point: Array, sun: Array) -> Array:
    """1 in the sun, 0 in the ball's shadow, soft at its edge."""
    offset = point - BALL
    along = dot(offset, sun)
    miss = length(offset - along * sun)
    shadow = smoothstep(0.86, 1.1, miss)
    return np.where(along < 0, shadow, 1).astype(np.float32)


def _paint(blades: Blades, order: np.ndarray, size: int) -> Array:
    """Premultiplied light and coverage `(4, y, x)` of the chosen blades, painted back to front."""
    canvas = Image.new("RGBA", (size * 2, size * 2))
    pen = ImageDraw.Draw(canvas)
    shown = np.clip(blades.tint[:, order] / 6, 0, 1) ** 0.5 * 255
    shown = shown.transpose(1, 2, 0).astype(int).tolist()
    left = blades.left[:, order].transpose(1, 2, 0).tolist()
    right = blades.right[:, order].transpose(1, 2, 0).tolist()
    for tint, port, starboard in zip(shown, left, right, strict=True):
        for i in range(len(port) - 1):
            quad = (*port[i], *port[i + 1], *starboard[i + 1], *starboard[i])
            pen.polygon(quad, fill=(*tint[i + 1], 255))
    pixels = np.asarray(canvas, np.float32).transpose(2, 0, 1) / 255
    pixels[:3] = pixels[:3] ** 2 * 6 * pixels[3:]
    return shrink(pixels, 2)


def _trees(x: Array, y: Array) -> Array:
    """Far trees and a strip of fairway, thrown out of focus: soft discs of light."""
    draw = np.random.default_rng(21)
    place = np.stack([x * 2.2, y * 2.2])
    leaves = fbm(place, 5, seed=2)
    crown = 0.62 + 0.16 * fbm(np.stack([x * 1.6, 0 * x + 4]), 3, seed=9)
    sky = mix(colour("#dfe9f2")[:, :, None], colour("#a9c8ea")[:, :, None], smoothstep(0.6, 1.3, y))
    green = mix(colour("#16301a")[:, :, None], colour("#5d8a3a")[:, :, None], 0.5 + 0.8 * leaves)
    light = mix(np.maximum(green, 0.002) * 1.5, sky * 1.9, smoothstep(-0.03, 0.05, y - crown - 0.3))
    for _ in range(90):
        px, py = draw.uniform(-1, 1), draw.uniform(0.38, 1.0)
        spot = np.exp(-((x - px) ** 2 + (y - py) ** 2) / 0.0000525)
        tint = np.array([1.0, 1.0, draw.uniform(0.55, 0.95)])[:, None, None]
        light = light + spot * tint * draw.uniform(0.3, 1.0) ** 3 * 18
    lawn = colour("#6f8f3a")[:, :, None] * (1.5 + 0.5 * fbm(np.stack([x * 3, y * 30]), 3, seed=4))
    light = mix(lawn, light, smoothstep(0.33, 0.40, y + 0.01 * x))
    return aperture_blur(light.astype(np.float32), 15)


def _ball(camera: Camera, size: int, lamp: _Lamp) -> tuple[Array, Array]:
    """The ball's premultiplied light and coverage."""
    eye = vec(*camera.eye)
    rays = camera.rays(size * 2, 0, 0)
    offset = eye - BALL
    b = dot(rays, offset)
    gap = b * b - dot(offset, offset) + 1
    hit = np.flatnonzero(gap > 0)
    ray = rays[:, hit]
    normal = unit(offset + ray * (-b[hit] - np.sqrt(gap[hit])))
    light = np.zeros((3, rays.shape[1]), np.float32)
    light[:, hit] = _ball_light(normal, ray, lamp)
    cover = (gap > 0).astype(np.float32)
    shape = (-1, size * 2, size * 2)
    return shrink(light.reshape(shape), 2), shrink(cover.reshape(shape), 2)


def _ball_light(smooth: Array, ray: Array, lamp: _Lamp) -> Array:
    normal, depth = _dimpled(smooth)
    paint = vec(0.86, 0.86, 0.83) * (1 - 0.03 * np.abs(fbm(smooth * 5, 3, seed=8)))
    paint = paint * (1 - (1 - vec(0.62, 0.03, 0.04)) * _print(smooth))
    earth = smoothstep(-0.55, -0.95, smooth[1] + 0.12 * fbm(smooth * 6, 3, seed=1))
    paint = mix(paint, colour("#6d6a3a"), 0.5 * earth)
    wrap = np.clip((dot(normal, lamp.sun) + 0.08) / 1.08, 0, 1)
    lit = smoothstep(-0.12, 0.2, dot(smooth, lamp.sun))
    upward = normal[1]
    above = lamp.sky * (0.62 * np.clip(0.5 + 0.5 * upward, 0, 1))
    grass = vec(0.30, 0.42, 0.10) * (0.95 * np.clip(0.5 - 0.5 * upward, 0, 1))
    sink = smoothstep(-1.0, -0.25, smooth[1])
    light = paint * (
        lamp.direct * wrap * lit + (above + grass) * (0.25 + 0.75 * sink) * (1 - depth * 0.35)
    )
    half = unit(lamp.sun - ray)
    shine = (
        1.6 * np.clip(dot(normal, half), 0, 1) ** 90 + 0.25 * np.clip(dot(normal, half), 0, 1) ** 14
    )
    mirrored = reflect(ray, normal)
    seen = mix(vec(0.10, 0.16, 0.05), lamp.sky * 1.5, smoothstep(-0.05, 0.45, mirrored[1]))
    fresnel = 0.04 + 0.5 * (1 - np.clip(-dot(normal, ray), 0, 1)) ** 5
    return (light + lamp.direct * shine * lit * 0.45 + seen * fresnel * sink).astype(np.float32)


def _dimpled(normal: Array) -> tuple[Array, Array]:
    """Normals bent by the dimples, and how deep in a dimple each point lies (0 to 1)."""
    ball = turned(turned(normal, 0, 23), 2, 17)
    centres = _geodesic(6)
    nearest = np.argmax(centres.T @ ball, 0)
    centre = centres[:, nearest]
    cosine = np.clip(dot(centre, ball), -1, 1)
    angle = np.arccos(cosine)
    radius = 0.088
    share = angle / radius
    slope = 0.55 * share * smoothstep(1.0, 0.8, share)
    inwards = (centre - ball * cosine) / np.maximum(np.sin(angle), 1e-4)
    bent = turned(turned(unit(ball + slope * inwards), 2, -17), 0, -23)
    return bent, smoothstep(1.0, 0.4, share)


def _geodesic(frequency: int) -> Array:
    """Points of an icosahedron's faces cut into `frequency`² triangles, blown up to the sphere."""
    golden = (1 + 5**0.5) / 2
    corners = np.array(
        [(0, s, t * golden) for s in (1, -1) for t in (1, -1)]
        + [(s, t * golden, 0) for s in (1, -1) for t in (1, -1)]
        + [(t * golden, 0, s) for s in (1, -1) for t in (1, -1)]
    )
    points: set[tuple[float, ...]] = set()
    for a in range(12):
        for b in range(a + 1, 12):
            for c in range(b + 1, 12):
                face = corners[[a, b, c]]
                sides = np.linalg.norm(face - np.roll(face, 1, axis=0), axis=1)
                if np.all(sides < 2.1):
                    for i in range(frequency + 1):
                        for j in range(frequency + 1 - i):
                            p = np.array([i, j, frequency - i - j]) @ face
                            points.add(tuple(np.round(p / np.linalg.norm(p), 5)))
    return np.array(sorted(points), np.float32).T


def _print(normal: Array) -> Array:
    """Where the maker's print covers the ball: 1 on a letter."""
    page = Image.new("L", (256, 256))
    pen = ImageDraw.Draw(page)
    pen.text((128, 100), "ViT", font=ImageFont.load_default(84), fill=255, anchor="mm")
    pen.text((128, 174), "16", font=ImageFont.load_default(56), fill=255, anchor="mm")
    letters = np.asarray(page, np.float32) / 255
    towards = unit(vec(0.05, 0.32, -1))
    right = unit(np.cross(vec(0, 1, 0), towards, axis=0).astype(np.float32))
    up = np.cross(towards, right, axis=0).astype(np.float32)
    u = np.clip((dot(normal, right) * 1.25 + 0.5) * 255, 0, 255).astype(int)
    v = np.clip((0.5 - dot(normal, up) * 1.25) * 255, 0, 255).astype(int)
    return letters[v, u] * (dot(normal, towards) > 0)
