"""A filling-station pump of the fifties on its concrete island in the afternoon sun."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from assets.samples.render.film import aperture_blur
from assets.samples.render.materials import sample
from assets.samples.render.noise import fbm, noise
from assets.samples.render.shot import Shot, photograph
from assets.samples.render.solids import box, capsule, common, cylinder, path, union
from assets.samples.render.trace import Camera, Part, Scene, Surface, sky
from assets.samples.render.vectors import Array, colour, mix, smoothstep, unit, vec

HOME = Camera(eye=(-3.0, 2.5, 9.6), target=(0.16, 2.72, 0.0), fov=37.5)
FRONT = 0.55  # z of the front panel
ISLAND = 0.22  # height of the concrete


def render(shot: Shot, size: int) -> Image.Image:
    """The pump in focus before a station and trees that are not."""
    faces = _Faces()
    scene = Scene(
        parts=(
            Part(_body, shot.paint(faces.enamel), ((0.0, 2.5, 0.0), 2.55)),
            Part(_trim, _chrome, ((0.0, 2.5, 0.0), 2.6)),
            Part(_globe, faces.globe, ((0.0, 5.15, 0.0), 0.75)),
            Part(_hose, _rubber, ((1.2, 2.0, 0.25), 1.7)),
            Part(_nozzle, _alloy, ((0.98, 2.9, 0.3), 0.8)),
            Part(_island, _concrete, ((0.0, 0.0, 0.0), 3.3)),
        ),
        environment=sky(colour("#6f9bd6"), colour("#dbe4ea") * 1.1, colour("#6f665a") * 0.7),
        sun=(-0.62, 0.62, 0.62),
        sun_light=vec(2.9, 2.55, 2.05),
        floor=_asphalt,
        sun_size=0.04,
        ambient=0.80,
    )
    return photograph(scene, HOME, _station, shot, size, exposure=0.72, seed=6, lens=20, widest=14)


def _body(point: Array) -> Array:
    lower = box(point - vec(0, 2.42, 0), (0.92, 2.2, FRONT), 0.16)
    head = box(point - vec(0, 3.92, 0), (0.98, 0.80, FRONT + 0.05), 0.24)
    foot = box(point - vec(0, 0.42, 0), (1.0, 0.22, FRONT + 0.06), 0.05)
    neck = cylinder(point - vec(0, 4.62, 0), 1, 0.28, 0.22, 0.04)
    display = box(point - vec(0, 3.98, FRONT + 0.06), (0.70, 0.44, 0.07), 0.04)
    panel = box(point - vec(0, 1.62, FRONT), (0.74, 0.98, 0.03), 0.02)
    return common(union(lower, head, foot, neck), -display, -panel)


def _trim(point: Array) -> Array:
    x, y, z = point
    display = box(point - vec(0, 3.98, FRONT + 0.05), (0.75, 0.49, 0.03), 0.02)
    display = np.maximum(display, -box(point - vec(0, 3.98, FRONT), (0.68, 0.42, 0.4), 0.04))
    level = np.stack([x, np.abs(np.abs(y - 2.95) - 0.09), z])
    band = box(level - vec(0, 0.0, 0), (0.955, 0.024, FRONT + 0.03), 0.02)
    frame = box(point - vec(0, 1.62, FRONT), (0.78, 1.02, 0.022), 0.012)
    frame = np.maximum(frame, -box(point - vec(0, 1.62, FRONT), (0.735, 0.975, 0.3)))
    rib = np.stack([np.abs(x) - 0.88, y - 1.6, z - FRONT + 0.10])
    side = box(rib, (0.022, 1.05, 0.022), 0.01)
    collar = cylinder(point - vec(0, 4.74, 0), 1, 0.36, 0.05, 0.02)
    lock = cylinder(point - vec(0.62, 2.42, FRONT + 0.02), 2, 0.05, 0.03, 0.01)
    return union(display, band, frame, side, collar, lock)


def _globe(point: Array) -> Array:
    return cylinder(point - vec(0, 5.22, 0), 2, 0.56, 0.21, 0.15)


def _hose_knots() -> Array:
    """From the outlet on the right side down in a long bow and up to the nozzle."""
    t = np.linspace(0, 1, 17, dtype=np.float32)
    a, b, c, d = (
        vec(0.92, 2.55, -0.15),
        vec(2.1, 2.6, -0.3),
        vec(2.15, -1.9, 0.9),
        vec(1.06, 2.62, 0.36),
    )
    return a * (1 - t) ** 3 + 3 * b * t * (1 - t) ** 2 + 3 * c * t**2 * (1 - t) + d * t**3


HOSE = _hose_knots()


def _hose(point: Array) -> Array:
    return path(point, HOSE, 0.062)


def _nozzle(point: Array) -> Array:
    grip = capsule(point, (1.07, 2.60, 0.36), (1.04, 3.05, 0.30), 0.085)
    spout = capsule(point, (1.04, 3.05, 0.30), (0.99, 3.36, 0.16), 0.065)
    tip = capsule(point, (0.99, 3.36, 0.16), (0.93, 3.50, 0.06), 0.040)
    guard = capsule(point, (1.22, 2.66, 0.40), (1.20, 3.0, 0.36), 0.022)
    bridge = np.minimum(
        capsule(point, (1.22, 2.66, 0.40), (1.08, 2.62, 0.36), 0.022),
        capsule(point, (1.20, 3.0, 0.36), (1.06, 3.06, 0.30), 0.022),
    )
    lever = capsule(point, (1.12, 2.96, 0.33), (1.155, 2.70, 0.37), 0.020)
    holster = box(point - vec(0.98, 3.32, 0.14), (0.09, 0.24, 0.15), 0.05)
    outlet = cylinder(point - vec(0.96, 2.55, -0.15), 0, 0.10, 0.07, 0.02)
    return union(grip, spout, tip, guard, bridge, lever, holster, outlet)


def _island(point: Array) -> Array:
    return box(point - vec(0, ISLAND / 2 - 0.1, 0), (2.6, ISLAND / 2 + 0.1, 1.25), 0.06)


class _Faces:
    """Enamel and glass with what is printed on them, drawn once."""

    def __init__(self) -> None:
        self.front = _front()
        self.lamp = _lamp()

    def enamel(self, point: Array, normal: Array) -> Surface:
        """Red enamel, cream panel, black display; chips and dust where pumps have them."""
        red = colour("#b3191b") * (1 + 0.05 * fbm(point * 2.5, 3, seed=1))
        printed = sample(self.front, (point[0] + 1.0) / 2.0, (4.5 - point[1]) / 4.0)
        ahead = smoothstep(0.75, 0.9, normal[2])
        shown = (np.abs(point[0]) < 0.75) & ((np.abs(point[1] - 1.62) < 0.98) | (point[1] > 2.7))
        tint = mix(red, printed, ahead * shown)
        dirt = smoothstep(1.5, 0.2, point[1] + 0.5 * fbm(point * 2.2, 4, seed=2))
        tint = mix(tint, colour("#7c6a55"), 0.42 * dirt)
        chips = smoothstep(0.62, 0.70, fbm(point * 3.3, 4, seed=3) + 0.25 * (point[1] < 0.9))
        tint = mix(tint, colour("#5b3a28"), 0.9 * chips)
        wave = np.stack([noise(point * 1.7 + 9 * k, seed=k) for k in range(3)])
        return Surface(tint, roughness=0.22, gloss=0.05, normal=unit(normal + 0.012 * wave))

    def globe(self, point: Array, normal: Array) -> Surface:
        """Milk glass with the brand on its face."""
        printed = sample(self.lamp, (point[0] + 0.6) / 1.2, (5.82 - point[1]) / 1.2)
        rim = smoothstep(0.43, 0.47, np.hypot(point[0], point[1] - 5.22))
        tint = mix(printed, colour("#f2efe6"), np.maximum(rim, (normal[2] < 0.2)))
        return Surface(tint * 0.95, roughness=0.18, gloss=0.05, emission=tint * 0.10)


def _front() -> Image.Image:
    """Albedo of the front, 2 x 4 units (x from -1, y from 4.5 down) at 320 pixels a unit."""
    scale = 320
    page = Image.new("RGB", (2 * scale, 4 * scale), (196, 30, 32))
    pen = ImageDraw.Draw(page)

    def at(x: float, y: float) -> tuple[float, float]:
        return (x + 1) * scale, (4.5 - y) * scale

    def bar(x0: float, y0: float, x1: float, y1: float, fill: tuple[int, int, int]) -> None:
        (a, b), (c, d) = at(x0, y1), at(x1, y0)
        pen.rectangle((a, b, c, d), fill=fill)

    def text(x: float, y: float, words: str, size: float, fill: tuple[int, int, int]) -> None:
        font = ImageFont.load_default(size * scale)
        pen.text(at(x, y), words, font=font, fill=fill, anchor="mm")

    cream, ink, red = (238, 232, 214), (24, 24, 26), (190, 26, 28)
    bar(-0.75, 3.5, 0.75, 4.46, (226, 222, 208))
    for y, name, digits in ((4.22, "THIS SALE $", "04.37"), (3.93, "GALLONS", "15.61")):
        bar(-0.10, y - 0.115, 0.62, y + 0.115, ink)
        text(-0.39, y, name, 0.085, ink)
        for place, digit in enumerate(digits.replace(".", "")):
            x = 0.0 + 0.175 * place
            bar(
                x - 0.07, y - 0.10, x + 0.07, y + 0.10, (40, 40, 42) if place < 2 else (120, 20, 20)
            )
            text(x, y, digit, 0.19, (240, 238, 230))
    text(-0.30, 3.65, "PRICE PER GALLON", 0.075, ink)
    bar(0.16, 3.575, 0.56, 3.735, ink)
    text(0.36, 3.655, "28 9/10", 0.12, (240, 238, 230))
    bar(-0.75, 2.86, 0.75, 3.04, (232, 228, 214))
    text(0, 2.95, "REGULAR", 0.16, red)
    bar(-0.75, 0.6, 0.75, 2.62, cream)
    a, b = at(0, 1.78)
    for radius, fill in ((0.50, red), (0.455, cream), (0.42, (24, 62, 130))):
        r = radius * scale
        pen.ellipse((a - r, b - r, a + r, b + r), fill=fill)
    star: list[tuple[float, float]] = []
    for k in range(10):
        r = (0.25 if k % 2 == 0 else 0.10) * scale
        star.append((a + r * np.sin(k * np.pi / 5), b - 0.06 * scale - r * np.cos(k * np.pi / 5)))
    pen.polygon(star, fill=cream)
    text(0, 1.52, "NORTH STAR", 0.10, cream)
    text(0, 1.02, "GASOLINE", 0.22, red)
    text(0, 0.80, "CONTAINS LEAD   ·   STOP YOUR MOTOR", 0.052, ink)
    return page


def _lamp() -> Image.Image:
    page = Image.new("RGB", (480, 480), (244, 241, 232))
    pen = ImageDraw.Draw(page)
    pen.ellipse((40, 40, 440, 440), fill=(244, 241, 232), outline=(190, 26, 28), width=26)
    font = ImageFont.load_default(118)
    pen.text((240, 250), "STAR", font=font, fill=(24, 62, 130), anchor="mm")
    return page


def _chrome(point: Array, normal: Array) -> Surface:
    return Surface(vec(0.78, 0.78, 0.79) + 0 * point, roughness=0.18, metal=1.0)


def _alloy(point: Array, normal: Array) -> Surface:
    worn = np.clip(0.5 + 0.6 * fbm(point * 9, 3, seed=5), 0, 1)
    return Surface(
        mix(vec(0.34, 0.34, 0.35), vec(0.60, 0.60, 0.60), worn), roughness=0.36, metal=1.0
    )


def _rubber(point: Array, normal: Array) -> Surface:
    return Surface(colour("#1b1b1c") + 0 * point, roughness=0.45, gloss=0.04)


def _concrete(point: Array, normal: Array) -> Surface:
    spots = fbm(point * 6, 5, seed=7, gain=0.62)
    stain = smoothstep(0.0, 0.9, fbm(point * 1.1, 4, seed=8))
    tint = colour("#a9a498") * (1 + 0.22 * spots) * (1 - 0.4 * stain)
    edge = smoothstep(0.06, 0.10, point[1]) * smoothstep(0.5, 0.7, np.abs(normal[2]))
    tint = mix(tint, colour("#c9a93c") * (1 + 0.3 * spots), 0.75 * edge)
    bump = np.stack([noise(point * 21 + 7 * k, seed=k) for k in range(3)])
    return Surface(tint, roughness=0.9, normal=unit(normal + 0.10 * bump))


def _asphalt(point: Array, normal: Array) -> Surface:
    place = point[[0, 2]]
    stones = fbm(place * 9, 5, seed=9, gain=0.75)
    crack = smoothstep(0.035, 0.0, np.abs(fbm(place * 0.55, 5, seed=10)))
    oil = smoothstep(0.25, 0.8, fbm(place * 0.7, 4, seed=11))
    tint = colour("#6f6c69") * (1 + 0.30 * stones) * (1 - 0.55 * crack) * (1 - 0.4 * oil)
    bump = np.stack([noise(place * 30, 1), 0 * place[0] + 0, noise(place * 30, 2)])
    return Surface(tint, roughness=0.85, normal=unit(normal + 0.16 * bump))


def _station(x: Array, y: Array) -> Array:
    """A white station with a red stripe, trees and sky, all out of focus."""
    high = smoothstep(-0.35, 1.0, y)
    light = mix(colour("#dfe9ef")[:, :, None], colour("#5c93d8")[:, :, None], high) * 1.35
    place = np.stack([x * 0.9 + 5, y * 1.6])
    cloud = smoothstep(0.05, 0.6, fbm(place, 6, seed=61))
    light = mix(light, colour("#ffffff")[:, :, None] * 1.45, 0.8 * cloud)
    crown = 0.05 + 0.22 * fbm(np.stack([x * 1.9 + 3, 0 * x]), 4, seed=62) + 0.10 * x
    leaves = 0.5 + 0.7 * fbm(np.stack([x * 7, y * 7]), 4, seed=63)
    green = mix(colour("#233d1c")[:, :, None], colour("#7c9a4a")[:, :, None], np.clip(leaves, 0, 1))
    light = mix(light, green * 0.95, smoothstep(0.03, -0.03, y - crown))
    inside = ((x > -1.2) & (x < -0.28) & (y < 0.16) & (y > -0.55)).astype(np.float32)
    light = mix(light, colour("#e8e2d2")[:, :, None] * 1.25, inside)
    stripe = inside * (np.abs(y - 0.09) < 0.035)
    light = mix(light, colour("#b8262a")[:, :, None] * 1.1, stripe)
    for left, right, low, top in ((-0.92, -0.66, -0.42, -0.02), (-0.56, -0.36, -0.5, -0.02)):
        pane = ((x > left) & (x < right) & (y > low) & (y < top)).astype(np.float32)
        light = mix(light, colour("#4c6474")[:, :, None], pane)
    car = np.hypot(
        (x - 0.72) / 0.36, np.maximum(y + 0.42, 0) / 0.20 + np.minimum(y + 0.42, 0) / 0.10
    )
    light = mix(light, colour("#7fa3b5")[:, :, None], smoothstep(1.05, 0.95, car))
    return aperture_blur(light.astype(np.float32), 10)
