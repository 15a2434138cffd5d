"""How uneven the gradients are that an attack follows, per block and component."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.model.sites import Address, Site
from engine.model.victim import BlockShape, Forward

COMPONENTS = {"Attention": Site.SCORES, "QKV": Site.QKV, "MLP": Site.MLP_OUT}
SITES = frozenset(COMPONENTS.values())


@dataclass(frozen=True)
class GradientVariance:
    """Statistics over all entries of each gradient tensor of one picture, after the rules' edits.

    variance (l, 3) = Var(g), the paper's quantity as its follow-up codes it (spec 1.7);
    dispersion (l, 3) = Var(g) / mean|g|^2 and kurtosis (l, 3) = E(g - m)^4 / Var^2 do not change
    when g is scaled, so only they can show that *removing extremes* calms gradients: a factor
    gamma alone divides the variance by 1 / gamma^2. Columns: Attention (scores), QKV, MLP.
    tokens[l] (3, n): share of |g| that each token carries. A gradient that is all zero has
    variance 0 and NaN dispersion and kurtosis.
    """

    variance: Tensor
    dispersion: Tensor
    kurtosis: Tensor
    tokens: tuple[Tensor, ...]
    shapes: tuple[BlockShape, ...]


def read(out: Forward, shapes: tuple[BlockShape, ...], index: int = 0) -> GradientVariance:
    """The statistics of image `index` of a pass whose gradients were recorded at SITES.

    A place the loss does not depend on records no gradient: it is read as all zero.
    """
    rows: list[Tensor] = []
    tokens: list[Tensor] = []
    for block, shape in enumerate(shapes):
        count = shape.prefix + shape.grid[0] * shape.grid[1]
        found = [out.grads.get(Address(site, block)) for site in COMPONENTS.values()]
        parts = [out.logits.new_zeros(count, 1) if g is None else g[index] for g in found]
        rows.append(torch.stack([_moments(g) for g in parts]))
        tokens.append(torch.stack([_share(g) for g in parts]).cpu())
    variance, dispersion, kurtosis = torch.stack(rows).detach().cpu().unbind(-1)
    return GradientVariance(variance, dispersion, kurtosis, tuple(tokens), shapes)


def _moments(g: Tensor) -> Tensor:
    """Var, Var / mean|g|^2 and kurtosis of all entries (3,), computed on g / max|g|."""
    top = g.abs().max()
    unit = g.flatten() / top.clamp_min(torch.finfo(g.dtype).tiny)
    centred = unit - unit.mean()
    square = centred.square()
    variance = square.mean()
    return torch.stack(
        (
            variance * top.square(),
            variance / unit.abs().mean().square(),
            square.square().mean() / variance.square(),
        )
    )


def _share(g: Tensor) -> Tensor:
    """Share of |g| per token (n,): tokens are rows of (n, c), or queries of (h, n, m)."""
    weight = g.abs().sum((0, 2)) if g.ndim == 3 else g.abs().sum(1)
    return weight / weight.sum().clamp_min(torch.finfo(g.dtype).tiny)
