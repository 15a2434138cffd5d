"""What the paper reports (ECCV 2024, and the curves in its code): ImageNet, about 1.8/255, attackers that
have the public model only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Line(NamedTuple):
    """A backbone of some size without and with tokens: cosine of features under attack (over the tokens,
    per channel), and of a linear head % right, clean and under attack, where these are reported."""

    backbone: str
    size: str
    cosine: tuple[float | None, float]
    clean: tuple[float, float] | None = None
    robust: tuple[float, float] | None = None


TABLE = (
    Line("DINOv2", "S", (0.09, 0.93), (80.0, 78.5), (0.0, 31.9)),
    Line("DINOv2", "B", (0.05, 0.92), (83.4, 83.1), (0.0, 50.0)),
    Line("DINOv2", "L", (0.06, 0.89), (85.5, 84.2), (0.3, 62.9)),
    Line("DINOv2", "G", (0.12, 0.89), (85.2, 85.6), (0.3, 63.1)),
    Line("DINOv2, registers", "S", (0.01, 0.93), (79.8, 79.2), (0.0, 30.5)),
    Line("DINOv2, registers", "B", (0.03, 0.92), (83.7, 83.1), (0.1, 49.7)),
    Line("DINOv2, registers", "L", (0.03, 0.83), (86.1, 85.9), (0.6, 58.7)),
    Line("DINOv2, registers", "G", (0.08, 0.90), (86.3, 86.1), (0.9, 69.9)),
    Line("DeiT III", "B", (None, 0.74)),
    Line("DeiT III", "L", (0.22, 0.78)),
    Line("DeiT III", "H", (0.23, 0.77)),
    Line("OpenCLIP", "B", (-0.02, 0.86)),
    Line("OpenCLIP", "L", (0.13, 0.91)),
    Line("OpenCLIP", "H", (0.10, 0.89)),
)
COUNTS: Mapping[int, tuple[float, float]] = {
    1: (1.12, 1.741),
    10: (1.04, 1.804),
    20: (0.91, 1.812),
    50: (0.37, 1.818),
}
"""DINOv2-S by number of tokens: the sum of both cosines in training (2 is the most), at the first step
and over the last 20 of 200."""
