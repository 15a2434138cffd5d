"""How a scene is photographed: where the camera stands, in which light, on what film, past what.

A new picture of a scene is a new `Shot`: a value, not a copy of a file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from PIL import Image

from assets.samples.render.clutter import FRONTS, Front, things
from assets.samples.render.film import Film, defocus, develop, over
from assets.samples.render.trace import Camera, Layers, Material, Scene, Surface, trace
from assets.samples.render.vectors import Array, turned, unit, vec

Backdrop = Callable[[Array, Array], Array]  # x, y (home picture in [-1, 1]) -> light (3, y, x)
# The traced layers, the camera and the size to the parts' light and coverage.
Groom = Callable[[Layers, Camera, int], tuple[Array, Array]]


def _as_traced(layers: Layers, camera: Camera, size: int) -> tuple[Array, Array]:
    return layers.parts, layers.cover


@dataclass(frozen=True)
class Light:
    """The weather: what is left of a scene's own sun, sky and backdrop, in linear red, green, blue.

    `sun` is the direction towards it: None leaves it where the scene has it, "camera" is a flash
    beside the lens.
    """

    sun: tuple[float, float, float] | Literal["camera"] | None = None
    direct: tuple[float, float, float] = (1.0, 1.0, 1.0)
    sky: tuple[float, float, float] = (1.0, 1.0, 1.0)
    far: tuple[float, float, float] = (1.0, 1.0, 1.0)


PLAIN = Film()
FAIR = Light()
OVERCAST = Light(direct=(0.10, 0.10, 0.11), sky=(1.15, 1.2, 1.3), far=(0.72, 0.75, 0.8))
SHADE = Light(direct=(0.0, 0.0, 0.0), sky=(0.8, 0.95, 1.2), far=(1.25, 1.2, 1.1))
EVENING = Light(direct=(1.25, 0.72, 0.38), sky=(0.62, 0.55, 0.58), far=(0.85, 0.62, 0.48))
FLASH = Light("camera", (0.62, 0.60, 0.57), (0.14, 0.15, 0.19), (0.09, 0.095, 0.12))


@dataclass(frozen=True)
class Shot:
    """One way to photograph a scene; the defaults are the scene's own picture.

    `turn` and `rise`: degrees that the camera walks round its target and climbs; `distance` in the
    scene's own; `aim` moves the target off the middle, in
    half pictures, right and up; `roll` in degrees; `hue` turns the object's colours by degrees;
    `near` puts that many things beside the object, `front` names what hangs before the lens.
    """

    turn: float = 0.0
    rise: float = 0.0
    distance: float = 1.0
    aim: tuple[float, float] = (0.0, 0.0)
    roll: float = 0.0
    light: Light = FAIR
    film: Film = PLAIN
    hue: float = 0.0
    near: int = 0
    front: Front = ""
    seed: int = 0

    def camera(self, home: Camera, floor: float = -np.inf) -> Camera:
        """The scene's camera moved; never lower than `floor`."""
        target = vec(*home.target)
        offset = vec(*home.eye) - target
        aside = unit(np.cross(offset, vec(0, 1, 0), axis=0))
        angle = np.radians(self.rise)
        lifted = offset * np.cos(angle) + np.cross(aside, offset, axis=0) * np.sin(angle)
        eye = target + turned(lifted.astype(np.float32), 1, self.turn) * self.distance
        eye[1] = np.maximum(eye[1], floor)
        x, y, z = (float(each) for each in eye[:, 0])
        return Camera((x, y, z), home.target, home.fov, self.roll, self.aim)

    def sun(self, camera: Camera, home: tuple[float, float, float]) -> tuple[float, float, float]:
        """The direction towards the sun, or the flash, where the scene's own is `home`."""
        if isinstance(self.light.sun, tuple):
            return self.light.sun
        if self.light.sun is None:
            return home
        towards = unit(vec(*camera.eye) - vec(*camera.target))[:, 0] + (-0.08, 0.12, 0)
        return float(towards[0]), float(towards[1]), float(towards[2])

    def relight(self, scene: Scene, camera: Camera) -> Scene:
        """The scene in this shot's light, with its clutter."""
        sky = vec(*self.light.sky)
        return replace(
            scene,
            reach=scene.reach * max(1.0, self.distance),
            parts=scene.parts + things(self.near, self.seed, scene.parts[0].bound),
            sun=self.sun(camera, scene.sun),
            sun_light=scene.sun_light * vec(*self.light.direct),
            environment=lambda direction, rough: scene.environment(direction, rough) * sky,
        )

    def paint(self, material: Material) -> Material:
        """The same material with its colours turned by `hue` about the greys."""
        if not self.hue:
            return material
        c, s = np.cos(np.radians(self.hue)), np.sin(np.radians(self.hue))
        grey = np.full((3, 3), (1 - c) / 3)
        twist = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) * s / np.sqrt(3)
        turn = (np.eye(3) * c + grey + twist).astype(np.float32)

        def painted(point: Array, normal: Array) -> Surface:
            surface = material(point, normal)
            albedo = np.broadcast_to(surface.albedo, point.shape)
            return surface._replace(albedo=np.clip(turn @ albedo, 0.005, 0.95))

        return painted

    def finish(self, light: Array, exposure: float, seed: int) -> Image.Image:
        """What hangs before the lens, then the film."""
        if self.front:
            layer = FRONTS[self.front](light.shape[-1], self.seed)
            shade = 0.5 * vec(*self.light.far)[:, :, None] + 0.5 * vec(*self.light.sky)[:, :, None]
            light = over(layer[:3] * shade, layer[3:], light)
        return develop(light, seed + self.seed, self.film, exposure)


def mirrored(x: Array) -> Array:
    """x folded into [-1, 1]: to both sides a painted backdrop goes on as its own mirror image."""
    return np.abs((x - 1) % 4 - 2) - 1


def photograph(
    scene: Scene,
    home: Camera,
    backdrop: Backdrop,
    shot: Shot,
    size: int,
    *,
    exposure: float,
    seed: int,
    lens: float = 0.0,
    widest: float = 0.0,
    floor: float = 0.12,
    groom: Groom = _as_traced,
) -> Image.Image:
    """Trace parts and floor, blur the floor by its distance, lay them on the backdrop.

    `lens` is the blur of the floor at infinity, at most `widest`, in 448ths of the picture.
    """
    camera = shot.camera(home, floor)
    layers = trace(shot.relight(scene, camera), camera, size)
    x, y = camera.beyond(home, size)
    light = backdrop(mirrored(x), y) * vec(*shot.light.far)[:, :, None]
    focus = float(np.linalg.norm(np.subtract(camera.eye, camera.target)))
    radius = np.clip(np.abs(1 - focus / layers.floor_distance) * lens, 0, widest)
    cover = defocus(layers.floor_cover, radius, widest)
    light = over(defocus(layers.floor, radius, widest), cover, light)
    return shot.finish(over(*groom(layers, camera, size), light), exposure, seed)
