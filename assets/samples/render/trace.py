"""Sphere tracing of signed distance fields with sun, sky, soft shadows and one mirror bounce."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np

from assets.samples.render.solids import Field
from assets.samples.render.vectors import Array, dot, length, mix, reflect, smoothstep, unit, vec

Environment: TypeAlias = Callable[[Array, float], Array]  # directions, roughness -> light (3, n)


class Surface(NamedTuple):
    """What light meets at `n` points: each entry `(3, n)`, `(n,)`, or one value for all."""

    albedo: Array
    roughness: float = 0.6
    metal: float = 0.0
    gloss: float = 0.04
    emission: Array | float = 0.0
    normal: Array | None = None
    glow_through: float = 0.0


Material: TypeAlias = Callable[[Array, Array], Surface]  # points, normals -> surface


@dataclass(frozen=True)
class Part:
    """A solid and what it is made of; `bound` (centre, radius) spares far points its exact field."""

    solid: Field
    material: Material
    bound: tuple[tuple[float, float, float], float] | None = None

    def distance(self, point: Array) -> Array:
        """The solid's distance, or far away the distance to its bounding sphere."""
        if self.bound is None:
            return self.solid(point)
        centre, radius = self.bound
        distance = length(point - vec(*centre)) - radius
        near = np.flatnonzero(distance < 0.15 * radius)
        if near.size == point.shape[1]:
            return self.solid(point)
        # The margin keeps the ray from creeping up to a sphere that is not there.
        distance = distance + 0.1 * radius
        if near.size:
            distance[near] = self.solid(point[:, near])
        return distance


@dataclass(frozen=True)
class Scene:
    """Parts over an optional floor at y = 0, under one sun and a surrounding light."""

    parts: tuple[Part, ...]
    environment: Environment
    sun: tuple[float, float, float]
    sun_light: Array
    floor: Material | None = None
    sun_size: float = 0.05
    ambient: float = 1.0
    reach: float = 30.0
    mirror_floor: bool = False

    def distance(self, point: Array) -> Array:
        """Distance to the nearest part (the floor is met analytically)."""
        best = self.parts[0].distance(point)
        for part in self.parts[1:]:
            best = np.minimum(best, part.distance(point))
        return best

    def within_reach(self, start: Array, rays: Array) -> np.ndarray:
        """Indices of the rays that pass some part's bounding sphere, or near it."""
        passes = np.zeros(rays.shape[1], bool)
        for part in self.parts:
            if part.bound is None:
                return np.arange(rays.shape[1])
            centre, radius = part.bound
            offset = start - vec(*centre)
            ahead = -dot(offset, rays)
            outside = dot(offset, offset) - (1.15 * radius) ** 2
            passes |= (outside < 0) | ((ahead > 0) & (ahead * ahead > outside))
        return np.flatnonzero(passes)


class Camera(NamedTuple):
    """A pinhole at `eye` looking at `target`; `fov` is the full angle in degrees.

    `roll` turns the picture clockwise by degrees; `aim` is where the target lands, in half
    pictures to the right and up.
    """

    eye: tuple[float, float, float]
    target: tuple[float, float, float]
    fov: float
    roll: float = 0.0
    aim: tuple[float, float] = (0.0, 0.0)

    @property
    def half(self) -> float:
        """Half the picture's side at distance one."""
        return float(np.tan(np.radians(self.fov) / 2))

    def axes(self) -> tuple[Array, Array, Array]:
        """Unit vectors `(3, 1)`: ahead, to the right, up in the picture."""
        forward = unit(vec(*self.target) - vec(*self.eye))
        right = unit(np.cross(forward, vec(0, 1, 0), axis=0).astype(np.float32))
        up = np.cross(right, forward, axis=0).astype(np.float32)
        c, s = np.float32(np.cos(np.radians(self.roll))), np.float32(np.sin(np.radians(self.roll)))
        return forward, c * right + s * up, c * up - s * right

    def rays(self, size: int, dx: float, dy: float) -> Array:
        """Unit directions `(3, size * size)` through pixels shifted by a part of a pixel."""
        forward, right, up = self.axes()
        ticks = np.arange(size, dtype=np.float32)
        x = ((ticks + 0.5 + dx) / size * 2 - 1 - self.aim[0]) * self.half
        y = (1 - (ticks + 0.5 + dy) / size * 2 - self.aim[1]) * self.half
        sx, sy = np.meshgrid(x, y)
        return unit(forward + right * sx.ravel() + up * sy.ravel())

    def project(self, point: Array, size: int) -> tuple[Array, Array, Array]:
        """Column, row and depth of points `(3, n)` in pixels."""
        forward, right, up = self.axes()
        offset = point - vec(*self.eye)
        depth = dot(offset, forward)
        column = (dot(offset, right) / depth / self.half + self.aim[0] + 1) / 2 * size
        row = (1 - dot(offset, up) / depth / self.half - self.aim[1]) / 2 * size
        return column, row, depth

    def beyond(self, home: Camera, size: int) -> tuple[Array, Array]:
        """Where each pixel meets a far backdrop that was painted for the camera `home`.

        x, y in [-1, 1] are home's picture; the backdrop is a cylinder about the observer, once
        round it.
        """
        x, y, z = self.rays(size, 0, 0).reshape(3, size, size)
        ahead = unit(vec(*home.target) - vec(*home.eye))[:, 0]
        # The heading grows to the right of the picture.
        turn = np.arctan2(z, x) - np.arctan2(ahead[2], ahead[0])
        across = ((turn + np.pi) % (2 * np.pi) - np.pi) / np.arctan(home.half)
        height = y / np.hypot(x, z) - ahead[1] / np.hypot(ahead[0], ahead[2])
        return across.astype(np.float32), (height / home.half).astype(np.float32)


class Layers(NamedTuple):
    """A traced picture: parts (premultiplied, with coverage), floor (likewise), floor distance."""

    parts: Array
    cover: Array
    floor: Array
    floor_cover: Array
    floor_distance: Array


def trace(scene: Scene, camera: Camera, size: int, passes: int = 4) -> Layers:
    """Trace parts and floor apart, so that a lens blur of the floor never smears the parts.

    After two samples of every pixel the others go only where neighbouring pixels differ.
    """
    eye = vec(*camera.eye)
    sums = np.zeros((9, size * size), np.float32)  # parts, cover, floor, floor's cover, samples
    distance = np.full(size * size, scene.reach, np.float32)
    asked = np.arange(size * size)
    for index in range(passes):
        # A rotated grid: no two samples of a pixel share a row or a column.
        dx = (index + 0.5) / passes - 0.5
        dy = ((index * 2 + index // 2) % passes + 0.5) / passes - 0.5
        rays = camera.rays(size, dx, dy)[:, asked]
        wobble = index / passes
        t = march(scene, eye, rays, scene.reach)
        hit = np.flatnonzero(t < scene.reach)
        points = eye + rays[:, hit] * t[hit]
        sums[:3, asked[hit]] += shade(scene, points, rays[:, hit], wobble, bounces=1)
        sums[3, asked[hit]] += 1
        if scene.floor is not None:
            far = np.where(rays[1] < -1e-4, -eye[1] / np.minimum(rays[1], -1e-4), scene.reach)
            # Floor behind the parts is wanted once only, for the blur.
            seen = np.flatnonzero((far < scene.reach) & ((t == scene.reach) | (index == 0)))
            points = eye + rays[:, seen] * far[seen]
            light = shade_floor(scene, points, rays[:, seen], wobble)
            where = asked[seen]
            sums[4:7, where] += light
            sums[7, where] += 1
            distance[where] = far[seen]
        sums[8, asked] += 1
        if 1 <= index < passes - 1:
            asked = np.flatnonzero(_busy((sums[:4] / sums[8]).reshape(4, size, size)))
    shape = (-1, size, size)
    floor = sums[4:7] / np.maximum(sums[7], 1)
    floor_cover = (sums[7:8] > 0).astype(np.float32)
    parts, cover = sums[:3] / sums[8], sums[3:4] / sums[8]
    return Layers(
        parts.reshape(shape),
        cover.reshape(shape),
        floor.reshape(shape),
        floor_cover.reshape(shape),
        distance.reshape(size, size),
    )


def _busy(picture: Array) -> np.ndarray:
    """Pixels `(y, x)` that differ from a neighbour by more than the eye forgives."""
    shown = np.clip(picture, 0, 1) ** 0.45
    busy = np.zeros(picture.shape[1:], bool)
    for axis in (1, 2):
        step = np.abs(np.diff(shown, axis=axis)).max(0) > 0.045
        pad = [(0, 0), (0, 0)]
        pad[axis - 1] = (1, 0)
        busy |= np.pad(step, pad)
        pad[axis - 1] = (0, 1)
        busy |= np.pad(step, pad)
    return busy.ravel()


def march(scene: Scene, start: Array, rays: Array, reach: float, steps: int = 90) -> Array:
    """Distance along each ray to the first part, `reach` where there is none."""
    n = rays.shape[1]
    start = np.broadcast_to(start, (3, n))
    t = np.full(n, 1e-3, np.float32)
    out = np.full(n, reach, np.float32)
    alive = scene.within_reach(start, rays)
    for _ in range(steps):
        if not alive.size:
            break
        gap = scene.distance(start[:, alive] + rays[:, alive] * t[alive])
        t[alive] += gap * 0.95
        hit = gap < 6e-4 * np.maximum(t[alive], 0.5)
        out[alive[hit]] = t[alive[hit]]
        alive = alive[~hit & (t[alive] < reach)]
    return out


def shadow(scene: Scene, point: Array, toward: Array, steps: int = 28) -> Array:
    """Share of the sun's disc seen from each point: 0 in full shadow, 1 in full light."""
    n = point.shape[1]
    lit = np.ones(n, np.float32)
    t = np.full(n, 0.02, np.float32)
    alive = scene.within_reach(point, np.broadcast_to(toward, point.shape))
    reach = scene.reach / 3
    for _ in range(steps):
        if not alive.size:
            break
        gap = scene.distance(point[:, alive] + toward * t[alive])
        lit[alive] = np.minimum(lit[alive], 0.5 + 0.5 * gap / (scene.sun_size * t[alive]))
        t[alive] += np.clip(gap, 0.012, 0.6)
        alive = alive[(lit[alive] > 0) & (t[alive] < reach)]
    lit = np.clip(lit, 0, 1)
    return lit * lit * (3 - 2 * lit)


def openness(scene: Scene, point: Array, normal: Array, scale: float = 0.5) -> Array:
    """Share of the surrounding light that neighbouring parts and floor leave (ambient occlusion)."""
    shut = np.zeros(point.shape[1], np.float32)
    weight = 1.0
    for i in range(1, 5):
        step = scale * (i / 4) ** 1.6
        probe = point + normal * step
        gap = scene.distance(probe)
        if scene.floor is not None:
            gap = np.minimum(gap, probe[1])
        shut += weight * np.maximum(step - gap, 0) / step
        weight *= 0.75
    return np.clip(1 - shut * 0.42, 0.03, 1)


def shade(
    scene: Scene, point: Array, ray: Array, wobble: float, bounces: int, first: bool = True
) -> Array:
    """Light that parts send from `point` back along `ray`; not `first`: as a mirror shows it."""
    out = np.zeros_like(point)
    if not point.shape[1]:
        return out
    owner = np.argmin(np.stack([part.distance(point) for part in scene.parts]), 0)
    for index, part in enumerate(scene.parts):
        mine = np.flatnonzero(owner == index)
        if mine.size:
            here = point[:, mine]
            normal = _normal(part.solid, here)
            surface = part.material(here, normal)
            out[:, mine] = lit(scene, here, ray[:, mine], normal, surface, wobble, bounces, first)
    return out


def shade_floor(scene: Scene, point: Array, ray: Array, wobble: float) -> Array:
    """Light that the floor sends from `point` back along `ray`."""
    assert scene.floor is not None
    normal = np.broadcast_to(vec(0, 1, 0), point.shape)
    surface = scene.floor(point, normal)
    bounces = 1 if scene.mirror_floor else 0
    return lit(scene, point, ray, normal, surface, wobble, bounces)


def lit(
    scene: Scene,
    point: Array,
    ray: Array,
    normal: Array,
    surface: Surface,
    wobble: float,
    bounces: int,
    first: bool = True,
) -> Array:
    """Sun (Lambert and GGX), surrounding light, mirror image and emission of one surface."""
    bent = normal if surface.normal is None else surface.normal
    above = point + normal * 4e-3
    # The light's place within its disc differs from pass to pass, which softens the shadow.
    jitter = scene.sun_size * (wobble - 0.4)
    toward = unit(vec(scene.sun[0] + jitter, scene.sun[1], scene.sun[2] - jitter))
    facing = np.clip(dot(bent, toward), 0, 1)
    back = np.clip(-dot(bent, toward), 0, 1)
    sunlit = np.zeros_like(facing)
    asks = np.flatnonzero((facing > 0) if not surface.glow_through else (facing + back > 0))
    # What a mirror shows is lit without shadows: they would double the time of a picture.
    sunlit[asks] = shadow(scene, above[:, asks], toward) if first else 1.0
    open_ = openness(scene, point, normal)
    base = mix(vec(*[surface.gloss] * 3), surface.albedo, surface.metal)
    view = np.clip(-dot(bent, ray), 1e-3, 1)
    diffuse = surface.albedo * (1 - surface.metal)
    light = diffuse * (
        scene.sun_light * (facing * sunlit + surface.glow_through * back)
        + scene.environment(bent, 1.0) * open_ * scene.ambient
    )
    half = unit(toward - ray)
    light += scene.sun_light * (_ggx(bent, half, toward, view, surface.roughness) * sunlit) * base
    fresnel = base + (np.maximum(1 - surface.roughness, base) - base) * (1 - view) ** 5
    mirrored = reflect(ray, bent)
    seen = scene.environment(mirrored, surface.roughness) * np.sqrt(open_)
    if bounces and surface.roughness < 0.4 and np.max(base) > 0.03:
        t = march(scene, above, mirrored, scene.reach / 3, steps=40)
        met = np.flatnonzero(t < scene.reach / 3)
        where = above[:, met] + mirrored[:, met] * t[met]
        seen[:, met] = shade(scene, where, mirrored[:, met], wobble, bounces - 1, first=False)
    return light + seen * fresnel + surface.emission


def _ggx(normal: Array, half: Array, toward: Array, view: Array, roughness: float) -> Array:
    a2 = max(roughness, 0.05) ** 4
    nh = np.clip(dot(normal, half), 0, 1)
    nl = np.clip(dot(normal, toward), 0, 1)
    spread = a2 / (np.pi * ((nh * nh) * (a2 - 1) + 1) ** 2)
    masked = 1 / (4 * np.maximum(0.1, nl * (1 - a2) + a2) * np.maximum(0.1, view))
    return np.minimum(spread * masked * nl, 40)


def _normal(solid: Field, point: Array) -> Array:
    """Gradient of the field from four taps at the corners of a tetrahedron."""
    total = np.zeros_like(point)
    for corner in ((1, -1, -1), (-1, -1, 1), (-1, 1, -1), (1, 1, 1)):
        k = vec(*corner)
        total += k * solid(point + k * 1.2e-3)
    return unit(total)


def sky(zenith: Array, horizon: Array, ground: Array, sharpness: float = 2.5) -> Environment:
    """A plain sky over a plain ground: what surfaces see when nothing else is there."""

    def environment(direction: Array, roughness: float) -> Array:
        height = direction[1]
        blur = 0.08 + 0.7 * roughness
        upper = mix(horizon, zenith, np.clip(height, 0, 1) ** (1 / sharpness))
        return mix(ground, upper, smoothstep(-blur, blur, height))

    return environment
