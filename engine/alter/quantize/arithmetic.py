"""The integer arithmetic of a quantised linear layer. m rows, k inputs, n outputs, o outliers."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Int8, Int32
from torch import Tensor

LEVELS = 127
LEAST = 1e-12
"""Below any float16, so that clamping to it changes nothing but zero."""
EXACT_K = (2**24 - 1) // LEVELS**2
"""Longest sum of products of two int8 numbers that float32 holds exactly: 1040."""


def quantise_rows(a: Float32[Tensor, "m k"], peak: Float32[Tensor, "m 1"]) -> Int8[Tensor, "m k"]:
    """round(127 a / peak) as int8, a (m, k) float32, peak (m, 1); a row of peak 0 becomes 0.

    bitsandbytes divides by zero there and relies on NaN becoming 0. Overwrites `a`.
    """
    return a.mul_(LEVELS / peak.clamp_min(LEAST)).round_().to(torch.int8)


def quantise_weight(
    weight: Float[Tensor, "n k"],
) -> tuple[Int8[Tensor, "n k"], Float32[Tensor, " n"]]:
    """W (n, k) -> int8 (n, k) and the step of each row (n,): W8 = round(127 W / s), step = s / 127.

    s is the row's largest magnitude after a cast to float16, as in bitsandbytes (spec A1.1).
    """
    w = weight.detach().half().float()
    peak = w.abs().amax(1, keepdim=True)
    return quantise_rows(w, peak), peak[:, 0] / LEVELS


def int_product(a: Int8[Tensor, "m k"], b: Int8[Tensor, "n k"]) -> Int32[Tensor, "m n"]:
    """Exact a b^T of int8 a (m, k) and b (n, k) -> int32 (m, n).

    `torch._int_mm` where it is exact and fast, padded with zeros to the shapes that CUDA asks for
    (m > 16, k and n multiples of 8); elsewhere float32 products over slices of 1040 inputs, each
    of which is exact because 1040 * 127^2 < 2^24.
    """
    if a.is_cuda:
        m, n, k = a.shape[0], b.shape[0], a.shape[1]
        a = F.pad(a, (0, -k % 8, 0, max(17 - m, 0)))
        b = F.pad(b, (0, -k % 8, 0, -n % 8))
        return torch._int_mm(a, b.t())[:m, :n]  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
    # Of a single input torch 2.11 returns what lay in memory before.
    if a.device.type == "cpu" and a.shape[1] > 1 and _fast_on_cpu():
        return torch._int_mm(a, b.t())  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
    return sliced_product(a, b)


def sliced_product(a: Int8[Tensor, "m k"], b: Int8[Tensor, "n k"]) -> Int32[Tensor, "m n"]:
    """a b^T in exact float32 slices, added up as int32: right on every device."""
    total = torch.zeros(a.shape[0], b.shape[0], dtype=torch.int32, device=a.device)
    for left, right in zip(a.split(EXACT_K, 1), b.split(EXACT_K, 1), strict=True):
        total += (left.float() @ right.float().t()).int()
    return total


def _fast_on_cpu() -> bool:
    """bitsandbytes' own condition: elsewhere the product is a scalar loop (spec C2)."""
    return torch.backends.cpu.get_cpu_capability().startswith("AVX512")
