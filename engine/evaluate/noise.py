"""The control of every attack: random signs of the same size, which any attack must beat."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from engine.attack.constraint import whole
from engine.core.streams import Streams


def noisy(pixels: Tensor, eps: float, seed: int) -> Tensor:
    """8-bit pictures (b, 3, y, x) plus sign noise of the full budget, in whole 255ths."""
    change = whole(eps) * signs(pixels.shape, Streams(seed))
    return (pixels.int() + change).clamp(0, 255).to(torch.uint8)


def signs(shape: Sequence[int], streams: Streams) -> Tensor:
    """-1 or 1 at random."""
    return torch.randint(0, 2, tuple(shape), generator=streams.at("noise")) * 2 - 1
