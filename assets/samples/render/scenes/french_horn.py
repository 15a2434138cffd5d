"""A French horn laid down on a dark wooden table under two soft lamps."""

from __future__ import annotations

import numpy as np
from PIL import Image

from assets.samples.render.materials import blurred_room, boards, softboxes
from assets.samples.render.noise import fbm
from assets.samples.render.shot import Shot, photograph
from assets.samples.render.solids import arc, box, capsule, common, cylinder, torus, union
from assets.samples.render.trace import Camera, Part, Scene, Surface
from assets.samples.render.vectors import Array, dot, length, mix, unit, vec

HOME = Camera(eye=(0.15, 5.6, 4.3), target=(-0.52, 0.30, 0.18), fov=34.0)
HIGH = 0.22  # height of the coil
BELL_FOOT = vec(-0.16, HIGH, 1.10)
BELL_AXIS = unit(vec(-0.93, 0.375, -0.03))
BELL_LENGTH, BELL_THROAT, BELL_MOUTH = 1.62, 0.155, 0.86


def render(shot: Shot, size: int) -> Image.Image:
    """Brass reflects everything: lamps, table and itself."""
    scene = Scene(
        parts=(
            Part(_coil, shot.paint(_brass), ((0.0, HIGH, 0.0), 1.45)),
            Part(_bell, shot.paint(_brass), ((-1.1, 0.58, 1.07), 1.25)),
            Part(_slides, shot.paint(_brass), ((-0.05, HIGH, -0.1), 1.15)),
            Part(_mouthpipe, shot.paint(_brass), ((-0.71, HIGH + 0.09, -0.98), 0.85)),
            Part(_valves, _nickel, ((0.05, HIGH, -0.5), 0.92)),
            Part(_mouthpiece, _nickel, ((-1.6, HIGH + 0.16, -0.82), 0.4)),
        ),
        environment=softboxes(
            ((-0.55, 0.80, -0.35), 0.88, vec(6.4, 6.2, 5.8)),
            ((0.85, 0.45, 0.15), 0.95, vec(3.6, 3.1, 2.4)),
            ((0.1, 0.35, 0.95), 0.97, vec(2.0, 2.0, 2.1)),
            room=vec(0.28, 0.25, 0.23),
            floor=vec(0.16, 0.09, 0.05),
        ),
        sun=(-0.45, 0.95, -0.30),
        sun_light=vec(1.5, 1.45, 1.35),
        floor=_table,
        sun_size=0.16,
        ambient=0.75,
        reach=20.0,
        mirror_floor=True,
    )
    return photograph(scene, HOME, _room, shot, size, exposure=1.0, seed=9, lens=16, widest=6)


def _coil(point: Array) -> Array:
    """The long conical tube, once round, and its brace of two more turns inside."""
    heading = np.degrees(np.arctan2(point[2], point[0]))
    turn = (heading + 150) % 360  # from the mouthpipe (0) round to the bell (about 250)
    run = np.where(turn > 305, 0, turn)
    tube = 0.062 + (BELL_THROAT - 0.062) * np.clip(run / 250, 0, 1) ** 1.5
    radial = np.hypot(point[0], point[2])
    main = np.hypot(radial - 1.10, point[1] - HIGH) - tube
    past = np.where(turn > 305, 360 - turn, np.maximum(turn - 251, 0))
    main = np.maximum(main, np.radians(past) * 1.0 - 0.01)
    second = arc(point, (0.02, HIGH + 0.10, 0.0), 0.87, 0.060, -20, 150)
    third = arc(point, (-0.03, HIGH - 0.06, 0.03), 0.71, 0.056, 60, 160)
    return union(main, second, third) * 0.9


def _bell(point: Array) -> Array:
    """A flare that opens ever faster, rolled over a wire at its rim."""
    offset = point - BELL_FOOT
    along = dot(offset, BELL_AXIS)
    radial = length(offset - BELL_AXIS * along)
    s = np.clip(along / BELL_LENGTH, 0, 1)
    flare = BELL_THROAT + 0.17 * s + (BELL_MOUTH - BELL_THROAT - 0.17) * s**5.2
    steep = (0.17 + 5.2 * (BELL_MOUTH - BELL_THROAT - 0.17) * s**4.2) / BELL_LENGTH
    shell = np.abs(radial - flare) / np.sqrt(1 + steep**2) - 0.013
    shell = common(shell, along - BELL_LENGTH, -along)
    rim = np.hypot(radial - BELL_MOUTH, along - BELL_LENGTH) - 0.028
    garland = np.hypot(radial - 0.47, along - 1.37) - 0.016
    return union(shell, rim, garland) * 0.85


def _hairpin(
    point: Array, x: float, z: float, reach: float, gap: float, turn: float, lift: float
) -> Array:
    """A tuning slide: two straight tubes and the bow that joins them, `turn` degrees about y."""
    c, s = np.float32(np.cos(np.radians(turn))), np.float32(np.sin(np.radians(turn)))
    dx, dz = point[0] - x, point[2] - z
    place = np.stack([c * dx + s * dz, point[1] - HIGH - lift, c * dz - s * dx])
    pair = np.stack([place[0], place[1], np.abs(place[2])])
    legs = capsule(pair, (0.0, 0.0, gap), (reach, 0.0, gap), 0.047)
    sleeve = capsule(pair, (0.0, 0.0, gap), (reach * 0.55, 0.0, gap), 0.058)
    return union(legs, sleeve, arc(place, (reach, 0, 0), gap, 0.047, 0, 90))


def _slides(point: Array) -> Array:
    return union(
        _hairpin(point, -0.42, -0.14, 0.62, 0.115, 62, 0.06),
        _hairpin(point, -0.10, -0.20, 0.66, 0.115, 80, 0.10),
        _hairpin(point, 0.24, -0.20, 0.60, 0.110, 104, 0.05),
        _hairpin(point, 0.30, -0.36, 0.42, 0.10, -8, 0.12),
        _hairpin(point, -0.50, 0.12, 0.28, 0.10, 150, -0.02),
        capsule(point, (-0.62, HIGH + 0.04, -0.36), (0.52, HIGH + 0.04, -0.40), 0.052),
        capsule(point, (0.56, HIGH + 0.0, 0.42), (0.95, HIGH, 0.52), 0.030),
        capsule(point, (-0.72, HIGH + 0.0, -0.12), (-1.06, HIGH, -0.18), 0.030),
        capsule(point, (0.08, HIGH + 0.0, 0.72), (0.08, HIGH, 1.06), 0.030),
    )


def _mouthpipe(point: Array) -> Array:
    return np.minimum(
        capsule(point, (-1.42, HIGH + 0.16, -0.86), (-0.50, HIGH + 0.12, -1.06), 0.050),
        capsule(point, (-0.50, HIGH + 0.12, -1.06), (-0.15, HIGH + 0.02, -1.10), 0.060),
    )


def _valves(point: Array) -> Array:
    """Four rotary valves with their caps, and the levers."""
    index = np.clip(np.round((point[0] + 0.06) / 0.30), -1, 2)
    place = np.stack([point[0] + 0.06 - index * 0.30, point[1] - HIGH - 0.05, point[2] + 0.30])
    drum = cylinder(place, 1, 0.128, 0.15, 0.03)
    cap = cylinder(place - vec(0, 0.15, 0), 1, 0.105, 0.05, 0.03)
    ring = torus(place - vec(0, 0.12, 0), 1, 0.122, 0.020)
    screw = cylinder(place - vec(0, 0.22, 0), 1, 0.035, 0.025, 0.01)
    lever_at = np.stack([place[0] + 0.02, place[1] - 0.10, place[2]])
    rod = capsule(lever_at, (0.05, 0.06, -0.05), (-0.02, 0.05, -0.56), 0.022)
    pad = box(lever_at - vec(-0.02, 0.06, -0.72), (0.07, 0.018, 0.17), 0.016)
    axle = capsule(point, (-0.55, HIGH + 0.14, -0.66), (0.60, HIGH + 0.14, -0.66), 0.030)
    return union(drum, cap, ring, screw, rod, pad, axle) * 0.95


def _mouthpiece(point: Array) -> Array:
    along = unit(vec(-0.92, 0.04, 0.20))
    offset = point - vec(-1.42, HIGH + 0.16, -0.86)
    reach = np.clip(dot(offset, along), 0, 0.36)
    cup = length(offset - along * reach) - (0.045 + 0.065 * (reach / 0.36) ** 2.5)
    return cup * 0.9


def _brass(point: Array, normal: Array) -> Surface:
    """Lacquered brass, a little uneven and fingered."""
    wear = fbm(point * 3.5, 4, seed=3)
    tint = mix(vec(0.93, 0.66, 0.27), vec(0.86, 0.54, 0.20), np.clip(0.5 + 0.5 * wear, 0, 1))
    dents = np.stack([fbm(point * 6 + 11 * k, 2, seed=k) for k in range(3)])
    return Surface(tint, roughness=0.13, metal=1.0, normal=unit(normal + 0.018 * dents))


def _nickel(point: Array, normal: Array) -> Surface:
    return Surface(vec(0.78, 0.76, 0.72) + 0 * point, roughness=0.15, metal=1.0)


def _table(point: Array, normal: Array) -> Surface:
    wood = boards(point, normal, light="#6b452a", dark="#38220f")
    return wood._replace(roughness=0.45, gloss=0.03)


def _room(x: Array, y: Array) -> Array:
    """A rehearsal room, seen only by a camera lower than home."""
    return blurred_room(x, y, 12, "#a08d78", "#4a3d34", 7, 12, 0.3)
