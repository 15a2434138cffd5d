"""The control of every attack: random signs of the same size, which any attack must beat."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.core.streams import Streams


def noisy(pixels: Tensor, eps: float, seed: int) -> Tensor:
    """8-bit pictures (b, 3, y, x) plus sign noise of the full budget, in whole 255ths."""
    signs = torch.randint(0, 2, pixels.shape, generator=Streams(seed).at("noise")) * 2 - 1
    bound = int(eps * 255 + 1e-4)
    return (pixels.int() + bound * signs).clamp(0, 255).to(torch.uint8)
