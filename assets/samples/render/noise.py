"""Gradient noise and its sums: the texture of everything that grew, weathered or was woven."""

from __future__ import annotations

from itertools import product

import numpy as np

from assets.samples.render.vectors import Array

_PRIMES = np.array([0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D], dtype=np.uint32)


def _hash(cell: np.ndarray, seed: int) -> np.ndarray:
    """Integer cells `(d, ...)` to 32 well mixed bits each."""
    bits = np.full(cell.shape[1:], np.uint32(seed * 747796405 & 0xFFFFFFFF), np.uint32)
    for axis, coordinate in enumerate(cell.astype(np.uint32)):
        bits = (bits ^ (coordinate * _PRIMES[axis])) * np.uint32(0x27D4EB2F)
        bits ^= bits >> np.uint32(15)
    return bits


def uniform(cell: np.ndarray, seed: int) -> Array:
    """One number in [0, 1) for each integer cell `(d, ...)`."""
    return (_hash(cell, seed) >> np.uint32(8)).astype(np.float32) / np.float32(1 << 24)


def noise(point: Array, seed: int = 0) -> Array:
    """Perlin's gradient noise at `(d, ...)` points, d = 2 or 3: about [-1, 1], wavelength 1."""
    floor = np.floor(point)
    cell, inside = floor.astype(np.int64), (point - floor).astype(np.float32)
    weight = inside * inside * inside * (inside * (inside * 6 - 15) + 10)
    total = np.zeros(point.shape[1:], np.float32)
    for corner in product((0, 1), repeat=len(point)):
        at = np.array(corner).reshape(-1, *([1] * (point.ndim - 1)))
        bits = _hash(cell + at, seed)
        slope = np.zeros_like(total)
        share = np.ones_like(total)
        for axis, bit in enumerate(corner):
            component = ((bits >> np.uint32(9 * axis + 3)) & np.uint32(255)).astype(np.float32)
            slope += (component / 127.5 - 1) * (inside[axis] - bit)
            share *= weight[axis] if bit else 1 - weight[axis]
        total += slope * share
    return total * 1.4


def fbm(
    point: Array, octaves: int, seed: int = 0, gain: float = 0.5, lacunarity: float = 2.03
) -> Array:
    """Fractal sum of `octaves` noises, each finer by `lacunarity` and fainter by `gain`."""
    total = np.zeros(point.shape[1:], np.float32)
    scale, height = 1.0, 1.0
    for octave in range(octaves):
        total += height * noise(point * scale, seed + 101 * octave)
        scale, height = scale * lacunarity, height * gain
    return total
