"""Signed distance fields: negative inside, positive outside, never more than the true distance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import TypeAlias

import numpy as np

from assets.samples.render.vectors import Array, dot, length, vec

Field: TypeAlias = Callable[[Array], Array]


def union(*fields: Array) -> Array:
    """What lies in any of the solids."""
    return reduce(np.minimum, fields)


def common(*fields: Array) -> Array:
    """What lies in all of the solids."""
    return reduce(np.maximum, fields)


def box(point: Array, half: Sequence[float], round_: float = 0.0) -> Array:
    """A box of half sizes `half` (rounding included) about the origin."""
    q = np.abs(point) - (vec(*half) - round_)
    return length(np.maximum(q, 0)) + np.minimum(common(*q), 0) - round_


def capsule(point: Array, a: Sequence[float], b: Sequence[float], radius: float) -> Array:
    """A rod with round ends from `a` to `b`."""
    start, along = vec(*a), vec(*b) - vec(*a)
    share = np.clip(dot(point - start, along) / dot(along, along), 0, 1)
    return length(point - start - along * share) - radius


def cylinder(point: Array, axis: int, radius: float, half: float, round_: float = 0.0) -> Array:
    """A cylinder about a coordinate axis."""
    side = [i for i in range(3) if i != axis]
    radial = np.hypot(point[side[0]], point[side[1]]) - (radius - round_)
    axial = np.abs(point[axis]) - (half - round_)
    outside = np.hypot(np.maximum(radial, 0), np.maximum(axial, 0))
    return outside + np.minimum(np.maximum(radial, axial), 0) - round_


def torus(point: Array, axis: int, ring: float, tube: float) -> Array:
    """A ring of radius `ring` about a coordinate axis, made of a tube."""
    side = [i for i in range(3) if i != axis]
    radial = np.hypot(point[side[0]], point[side[1]]) - ring
    return np.hypot(radial, point[axis]) - tube


def path(point: Array, knots: Array, radius: Array | float) -> Array:
    """A tube along the polyline `knots` `(3, k)`; `radius` may differ from knot to knot."""
    radii = np.broadcast_to(np.asarray(radius, np.float32), knots.shape[1:])
    best = np.full(point.shape[1], np.inf, np.float32)
    for i in range(knots.shape[1] - 1):
        start, along = knots[:, i, None], (knots[:, i + 1] - knots[:, i])[:, None]
        share = np.clip(dot(point - start, along) / np.maximum(dot(along, along), 1e-9), 0, 1)
        thick = radii[i] + (radii[i + 1] - radii[i]) * share
        best = np.minimum(best, length(point - start - along * share) - thick)
    return best


def arc(
    point: Array, centre: Sequence[float], ring: float, tube: float, middle: float, spread: float
) -> Array:
    """A bent tube in a horizontal plane: `spread` degrees either side of the heading `middle`.

    Headings turn from +x (0) towards +z (90).
    """
    place = point - vec(*centre)
    c, s = np.cos(np.radians(middle)), np.sin(np.radians(middle))
    ahead, aside = c * place[0] + s * place[2], np.abs(c * place[2] - s * place[0])
    inside = np.arctan2(aside, ahead) <= np.radians(spread)
    end_a, end_b = ring * np.cos(np.radians(spread)), ring * np.sin(np.radians(spread))
    radial = np.where(inside, np.hypot(ahead, aside) - ring, np.hypot(ahead - end_a, aside - end_b))
    return np.hypot(radial, place[1]) - tube
