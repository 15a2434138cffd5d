"""Vectors as arrays with the three components in front: points `(3, n)`, colours `(3, n)`."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.floating]


def vec(*components: float) -> Array:
    """A column `(d, 1)` that broadcasts against points."""
    return np.array(components, np.float32)[:, None]


def colour(code: str) -> Array:
    """An sRGB colour "#rrggbb" as linear light `(3, 1)`."""
    srgb = np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)], np.float32) / 255
    return (srgb**2.2)[:, None]


def dot(a: Array, b: Array) -> Array:
    """Inner product over the components."""
    out = a[0] * b[0]  # one component at a time: far quicker than a sum over a leading axis of 3
    for x, y in zip(a[1:], b[1:], strict=True):
        out = out + x * y
    return out


def length(a: Array) -> Array:
    """Euclidean length over the components."""
    return np.sqrt(dot(a, a))


def unit(a: Array) -> Array:
    """The same direction, length one."""
    return a / np.maximum(length(a), 1e-9)


def reflect(direction: Array, normal: Array) -> Array:
    """Mirror a ray's direction at a surface."""
    return direction - 2 * dot(direction, normal) * normal


def mix(a: Array, b: Array, weight: Array | float) -> Array:
    """`a` where `weight` is 0, `b` where it is 1."""
    return a + (b - a) * weight


def smoothstep(low: float, high: float, x: Array) -> Array:
    """0 below `low`, 1 above `high`, a smooth slope between; `low` > `high` turns it round."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def turned(point: Array, axis: int, degrees: float) -> Array:
    """Points rotated about a coordinate axis."""
    a, b = ((1, 2), (2, 0), (0, 1))[axis]
    c, s = np.float32(np.cos(np.radians(degrees))), np.float32(np.sin(np.radians(degrees)))
    out = np.array(np.broadcast_to(point, point.shape))
    out[a], out[b] = c * point[a] - s * point[b], s * point[a] + c * point[b]
    return out
