"""A portable cassette player of the eighties on a wooden table, by the light of a window."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from assets.samples.render.materials import blurred_room, boards, sample, softboxes
from assets.samples.render.noise import fbm, noise
from assets.samples.render.shot import Shot, photograph
from assets.samples.render.solids import box, capsule, common, cylinder, torus, union
from assets.samples.render.trace import Camera, Part, Scene, Surface
from assets.samples.render.vectors import Array, colour, length, mix, smoothstep, unit, vec

HOME = Camera(eye=(-2.5, 2.75, 9.2), target=(0.02, 1.42, 0.0), fov=35.0)
SPEAKER_X, SPEAKER_Y, SPEAKER = 1.55, 1.08, 0.80
FACE = 0.62  # z of the front


def render(shot: Shot, size: int) -> Image.Image:
    """The player in focus, the table running out of it, the room beyond."""
    faces = _Faces()
    near = ((0.0, 1.2, 0.0), 2.75)
    scene = Scene(
        parts=(
            Part(_case, shot.paint(faces.case), near),
            Part(_cones, _mesh, near),
            Part(_chrome, _polished, ((0.0, 1.6, 0.0), 3.4)),
            Part(_keys, _key_cap, ((0.0, 0.55, 0.6), 0.95)),
            Part(_rubber, _black, ((0.0, 1.9, 0.0), 2.9)),
        ),
        environment=softboxes(
            ((-0.75, 0.5, 0.55), 0.86, vec(5.6, 5.9, 6.4)),
            ((0.9, 0.35, 0.25), 0.94, vec(2.2, 1.7, 1.1)),
            room=vec(0.52, 0.46, 0.40),
            floor=vec(0.24, 0.15, 0.09),
        ),
        sun=(-0.72, 0.80, 0.62),
        sun_light=vec(1.7, 1.7, 1.65),
        floor=boards,
        sun_size=0.22,
        ambient=0.62,
        mirror_floor=True,
    )
    return photograph(scene, HOME, _room, shot, size, exposure=0.92, seed=3, lens=19, widest=17)


def _room(x: Array, y: Array) -> Array:
    return blurred_room(x, y, 4, "#c9b79d", "#6b5a4a", 9, 17, -0.05)


def _case(point: Array) -> Array:
    body = box(point - vec(0, 1.2, 0), (2.6, 1.14, FACE), 0.11)
    # The middle strip stands back, the cassette door and the dial are let into it.
    dial = box(point - vec(0, 2.06, FACE), (2.30, 0.17, 0.05), 0.02)
    door = box(point - vec(0, 1.28, FACE), (0.62, 0.42, 0.045), 0.03)
    tray = box(point - vec(0, 0.55, FACE), (0.66, 0.20, 0.10), 0.02)
    side = np.stack([np.abs(point[0]) - SPEAKER_X, point[1] - SPEAKER_Y, point[2] - FACE])
    cup = cylinder(side, 2, SPEAKER, 0.07)
    seam = np.maximum(
        np.abs(point[2] - 0.18) - 0.012, -(box(point - vec(0, 1.2, 0), (2.58, 1.12, 0.6), 0.1))
    )
    return common(body, -dial, -door, -tray, -cup, -seam)


def _cones(point: Array) -> Array:
    side = np.stack([np.abs(point[0]) - SPEAKER_X, point[1] - SPEAKER_Y, point[2] - FACE])
    radial = np.hypot(side[0], side[1])
    dome = side[2] + 0.05 - 0.085 * (1 - (radial / SPEAKER) ** 2)
    return np.maximum(np.maximum(dome, radial - SPEAKER + 0.03), -side[2] - 0.3) * 0.9


def _chrome(point: Array) -> Array:
    side = np.stack([np.abs(point[0]) - SPEAKER_X, point[1] - SPEAKER_Y, point[2] - FACE])
    rings = torus(side, 2, SPEAKER, 0.045)
    inner = torus(side - vec(0, 0, 0.02), 2, 0.30, 0.018)
    frame = box(point - vec(0, 1.28, FACE), (0.67, 0.47, 0.03), 0.015)
    frame = np.maximum(frame, -box(point - vec(0, 1.28, FACE), (0.61, 0.41, 0.2)))
    knobs = np.minimum(
        cylinder(point - vec(2.05, 2.06, FACE + 0.10), 2, 0.155, 0.10, 0.025),
        cylinder(point - vec(1.62, 2.06, FACE + 0.08), 2, 0.125, 0.09, 0.025),
    )
    aerial = capsule(point, (2.15, 2.36, -0.45), (-0.9, 3.62, -0.55), 0.027)
    tip = length(point - vec(-0.9, 3.62, -0.55)) - 0.05
    arms = np.stack([np.abs(point[0]) - 2.42, point[1] - 2.42, point[2] + 0.02])
    arm = box(arms, (0.05, 0.36, 0.10), 0.03)
    return union(rings, inner, frame, knobs, aerial, tip, arm)


def _rubber(point: Array) -> Array:
    grip = box(point - vec(0, 2.80, -0.02), (2.52, 0.10, 0.15), 0.08)
    feet = np.stack([np.abs(point[0]) - 2.1, point[1] - 0.03, np.abs(point[2]) - 0.4])
    return np.minimum(grip, cylinder(feet, 1, 0.14, 0.06, 0.02))


def _keys(point: Array) -> Array:
    index = np.clip(np.round(point[0] / 0.21 - 0.5), -3, 2) + 0.5
    place = np.stack([point[0] - index * 0.21, point[1] - 0.55, point[2] - FACE - 0.02])
    return box(place, (0.093, 0.165, 0.10), 0.025)


class _Faces:
    """The printed front: drawn once, looked up by the case's material."""

    def __init__(self) -> None:
        self.front = _front()

    def case(self, point: Array, normal: Array) -> Surface:
        """Silver plastic, with the front's print where it faces forward."""
        grainy = unit(normal + 0.025 * np.stack([noise(point * 60, seed=k) for k in range(3)]))
        silver = colour("#b4b6b8") * (1 + 0.03 * fbm(point * 3, 3, seed=4))
        printed = sample(self.front, (point[0] + 2.6) / 5.2, (2.34 - point[1]) / 2.28)
        ahead = smoothstep(0.6, 0.8, normal[2])
        tint = mix(silver, printed, ahead)
        dust = smoothstep(0.6, 1.0, normal[1]) * (0.5 + 0.5 * fbm(point * 5, 4, seed=6))
        tint = mix(tint, vec(0.45, 0.42, 0.38), 0.25 * np.clip(dust, 0, 1))
        return Surface(tint, roughness=0.36, gloss=0.05, normal=grainy)


def _front() -> Image.Image:
    """Albedo of the front, 5.2 x 2.28 units at 400 pixels a unit."""
    scale = 400
    page = Image.new("RGB", (int(5.2 * scale), int(2.28 * scale)), (184, 186, 188))
    pen = ImageDraw.Draw(page)

    def at(x: float, y: float) -> tuple[float, float]:
        return (x + 2.6) * scale, (2.34 - y) * scale

    def bar(x0: float, y0: float, x1: float, y1: float, fill: tuple[int, int, int]) -> None:
        (a, b), (c, d) = at(x0, y1), at(x1, y0)
        pen.rectangle((a, b, c, d), fill=fill)

    def text(x: float, y: float, words: str, size: float, fill: tuple[int, int, int]) -> None:
        font = ImageFont.load_default(size * scale)
        pen.text(at(x, y), words, font=font, fill=fill, anchor="mm")

    ink, pale, red = (36, 38, 42), (226, 224, 212), (196, 40, 34)
    bar(-2.6, 1.86, 2.6, 2.34, (52, 54, 58))
    bar(-0.74, 0.22, 0.74, 1.86, (58, 60, 64))
    bar(-2.30, 1.89, 2.30, 2.23, (18, 20, 22))
    for row, (name, marks) in enumerate(
        (("FM", "88  92  96 100 104 108"), ("AM", "53  60  70  90  120 160"))
    ):
        y = 2.13 - 0.14 * row
        text(-2.12, y, name, 0.085, (240, 190, 90))
        for place, mark in enumerate(marks.split()):
            text(-1.72 + 0.50 * place, y, mark, 0.082, pale)
    for tick in range(61):
        x = -1.75 + 2.6 * tick / 60
        bar(x, 2.045, x + 0.008, 2.075 if tick % 5 else 2.085, pale)
    bar(-0.52, 1.90, -0.50, 2.22, red)
    bar(1.12, 2.02, 1.36, 2.10, (30, 90, 40))
    text(1.24, 2.17, "STEREO", 0.055, pale)
    # The cassette behind its window.
    bar(-0.62, 0.86, 0.62, 1.70, (22, 22, 24))
    bar(-0.53, 0.93, 0.53, 1.60, (206, 198, 180))
    bar(-0.53, 1.40, 0.53, 1.52, red)
    text(0, 1.46, "C 90   side A", 0.085, (250, 244, 230))
    bar(-0.34, 1.08, 0.34, 1.34, (30, 26, 24))
    for x, wound in ((-0.22, 0.125), (0.22, 0.09)):
        (a, b) = at(x, 1.21)
        for radius, fill in ((wound, (70, 44, 30)), (0.07, (236, 234, 226)), (0.035, (24, 24, 26))):
            r = radius * scale
            pen.ellipse((a - r, b - r, a + r, b + r), fill=fill)
        for spoke in range(6):
            angle = spoke * np.pi / 3 + x
            end = (a + 0.05 * scale * np.cos(angle), b + 0.05 * scale * np.sin(angle))
            pen.line([(a, b), end], fill=(60, 60, 62), width=6)
    bar(-0.62, 0.82, 0.62, 0.87, (120, 122, 124))
    text(0, 1.79, "STEREO CASSETTE", 0.075, pale)
    text(0, 0.29, "REC   PLAY   REW   FF   STOP  PAUSE", 0.055, pale)
    text(-1.55, 0.16, "2-WAY SPEAKER", 0.075, ink)
    text(1.55, 0.16, "SOFTMAX  VT-16", 0.085, ink)
    return page


def _mesh(point: Array, normal: Array) -> Surface:
    """Black perforated metal over the cones."""
    x, y = np.abs(point[0]) - SPEAKER_X, point[1] - SPEAKER_Y
    pitch = 0.052
    row = np.round(y / (pitch * 0.866))
    shift = x / pitch - 0.5 * (row % 2)
    hole = np.hypot((shift - np.round(shift)) * pitch, y - row * pitch * 0.866)
    open_ = smoothstep(0.020, 0.014, hole)
    tint = colour("#2c2d30") * (1 - 0.9 * open_)
    return Surface(tint + 0 * point, roughness=0.42, gloss=0.06)


def _polished(point: Array, normal: Array) -> Surface:
    return Surface(vec(0.80, 0.80, 0.82) + 0 * point, roughness=0.16, metal=1.0)


def _key_cap(point: Array, normal: Array) -> Surface:
    index = np.clip(np.round(point[0] / 0.21 - 0.5), -3, 2)
    tint = mix(colour("#c9cacc"), colour("#b8302a"), (index == -3).astype(np.float32))
    return Surface(tint + 0 * point, roughness=0.32, gloss=0.05)


def _black(point: Array, normal: Array) -> Surface:
    bent = unit(normal + 0.05 * np.stack([noise(point * 40, seed=k) for k in range(3)]))
    return Surface(colour("#1d1d1f") + 0 * point, roughness=0.5, normal=bent)
