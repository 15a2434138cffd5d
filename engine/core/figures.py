"""Numbers as they are told: four significant figures, and nothing that JSON has no word for."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor


def number(value: float) -> float | None:
    """Four significant figures, or None where JSON has no such number."""
    return float(f"{value:.4g}") if math.isfinite(value) else None


def table(values: Tensor) -> list[Any]:
    """A tensor of any rank as nested lists of `number`s."""
    if values.ndim == 1:
        return [number(v) for v in values.tolist()]
    return [table(row) for row in values]
