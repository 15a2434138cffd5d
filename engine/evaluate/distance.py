"""How far a saved picture is from the clean one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor


@dataclass(frozen=True)
class Distances:
    """linf in 255ths, l2 of pixels in [0, 1], psnr in dB (infinite for equal pictures), ssim."""

    linf: int
    l2: float
    psnr: float
    ssim: float


def distances(clean: Tensor, other: Tensor) -> Distances:
    """Distances between two 8-bit pictures (3, y, x); SSIM as scikit-image computes it."""
    a, b = clean.permute(1, 2, 0).numpy(), other.permute(1, 2, 0).numpy()
    gap = clean.int() - other.int()
    psnr = peak_signal_noise_ratio(a, b, data_range=255) if bool(gap.any()) else float("inf")
    return Distances(
        int(gap.abs().max()),
        float(gap.div(255).norm()),
        float(psnr),
        float(np.asarray(structural_similarity(a, b, channel_axis=2, data_range=255))),
    )
