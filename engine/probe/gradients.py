"""How uneven the gradients are that an attack follows, per block and component."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from engine.model.sites import Address, Site
from engine.model.victim import BlockShape, Forward
from engine.probe.probe import Lacks, Probe, Seen, Table

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
    columns: list[Tensor] = []
    shares: list[list[Tensor]] = []
    for site in COMPONENTS.values():
        found: list[Tensor] = []
        for block, shape in enumerate(shapes):
            g = out.grads.get(Address(site, block))
            count = shape.prefix + shape.grid[0] * shape.grid[1]
            found.append(out.logits.new_zeros(count, 1) if g is None else g[index])
        columns.append(torch.cat([moments(part) for part in alike(found)]).detach().cpu())
        shares.append([row for part in alike(found) for row in _shares(part).cpu()])
    variance, dispersion, kurtosis = torch.stack(columns, 1).unbind(-1)
    tokens = tuple(torch.stack(rows) for rows in zip(*shares, strict=True))
    return GradientVariance(variance, dispersion, kurtosis, tokens, shapes)


def alike(values: Sequence[Tensor]) -> list[Tensor]:
    """Consecutive tensors of one shape, stacked: one operation for all blocks where they agree."""
    groups = itertools.groupby(values, key=lambda value: value.shape)
    return [torch.stack(list(group)) for _, group in groups]


def moments(g: Tensor) -> Tensor:
    """Var, Var / mean|g|^2 and kurtosis of all entries per block (l, 3), computed on g / max|g|."""
    g = g.flatten(1)
    top = g.abs().amax(1, keepdim=True)
    unit = g / top.clamp_min(torch.finfo(g.dtype).tiny)
    square = (unit - unit.mean(1, keepdim=True)).square_()
    variance = square.mean(1)
    return torch.stack(
        (
            variance * top[:, 0].square(),
            variance / unit.abs_().mean(1).square(),
            square.square_().mean(1) / variance.square(),
        ),
        1,
    )


def _shares(g: Tensor) -> Tensor:
    """Share of |g| per token (l, n): tokens are rows of (l, n, c), or queries of (l, h, n, m)."""
    weight = g.abs().sum((1, 3)) if g.ndim == 4 else g.abs().sum(2)
    return weight / weight.sum(1, keepdim=True).clamp_min(torch.finfo(g.dtype).tiny)


def _read(seen: Seen) -> GradientVariance:
    return read(seen.out, seen.victim.spec.blocks, seen.picture)


def _summary(read: GradientVariance) -> dict[str, Any]:
    dispersion = [[v if v == v else None for v in row] for row in read.dispersion.tolist()]
    return {"gradient_variance": read.variance.tolist(), "gradient_dispersion": dispersion}


PROBE = Probe(
    "gradients",
    "Unevenness of token gradients per block and component",
    _read,
    _summary,
    Table(
        "Gradient variance, by block",
        "variance of the gradient",
        lambda read: dict(zip(COMPONENTS, read.variance.T.tolist(), strict=True)),
        decades=True,
    ),
    Lacks(
        "does not show the gradients of its attention, QKV and MLP parts here",
        "it has no attention, QKV and MLP parts to compare",
        "its gradients are taken window by window, not over the whole picture",
    ),
    gradients=SITES,
)
