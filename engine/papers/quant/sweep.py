"""A report at other thresholds: what an int8 model that draws the line elsewhere would make of the
same pictures. The attack aimed at the run's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.papers.quant.compare import ATTACKED, CLEAN, Report
from engine.probe.compare import counts

THRESHOLDS = 160
DEEPEST = 4.0
"""The lowest threshold is the run's own divided by this."""
BINS = 44
LEAST_SHARE = 1 / 256
"""Bins of columns by rank: the first holds this share of a layer's, the next grow in equal ratios."""


@dataclass(frozen=True)
class Sweep:
    """By picture, at each of the thresholds (t,), ascending, of which number `at` is the run's own.

    `columns` (t, layers) are outlier columns; `shares` (t,) of all multiplications are outside int8;
    `hf` (t,) counts q, k and v as three layers. `reach` (t, tokens) is in how many layers a token
    reaches the threshold, `carriers` (t, 1 + layers) how many tokens do so in any layer, then in
    each; none where a model folds its tokens into windows. `batches[size]` (t,) are the outlier
    columns of a batch of the picture and size - 1 clean ones: the union.
    """

    thresholds: Tensor
    at: int
    columns: Mapping[str, Tensor]
    shares: Mapping[str, Tensor]
    hf: Mapping[str, Tensor]
    reach: Mapping[str, Tensor]
    carriers: Mapping[str, Tensor]
    batches: Mapping[int, Mapping[str, Tensor]]


def sweep(found: Report, count: int = THRESHOLDS) -> Sweep:
    """At most `count` thresholds in equal ratios, up to where no input of the three pictures is."""
    limits = _limits(found, count)
    own = _half(found.threshold.value)
    columns = {name: counts(each.columns, limits) for name, each in found.seen.items()}
    weights = torch.tensor([layer.shape.column for layer in found.layers])
    whole = sum(layer.shape.macs for layer in found.layers)
    slices = torch.tensor([layer.shape.hf for layer in found.layers])
    tokens = {name: each.tokens for name, each in found.seen.items() if each.tokens}
    hits = {name: _hits(each, limits) for name, each in tokens.items()}
    return Sweep(
        limits,
        int((limits == own).nonzero()[0]),
        columns,
        {name: (each * weights).sum(1).double() / whole for name, each in columns.items()},
        {name: (each * slices).sum(1) for name, each in columns.items()},
        {name: each.sum(1) for name, each in hits.items()},
        {
            name: torch.cat((each.any(1).sum(1, keepdim=True), each.sum(2)), 1)
            for name, each in hits.items()
        },
        {
            size: {name: _union(found, mates, name, limits) for name in (CLEAN, ATTACKED)}
            for size, mates in found.merged.items()
        },
    )


def ranked(columns: Sequence[Tensor], order: Sequence[Tensor]) -> Tensor:
    """The largest peak in each bin of a layer's columns (layers, BINS), sorted by `order`, largest
    first: of small layers neighbouring bins hold the same column."""
    return torch.stack([_binned(c, o) for c, o in zip(columns, order, strict=True)])


def _binned(peaks: Tensor, order: Tensor) -> Tensor:
    ratios = LEAST_SHARE ** (1 - torch.arange(1, BINS + 1, dtype=torch.float64) / BINS)
    ends = (ratios * len(peaks) + 1e-9).floor().long()
    starts = torch.cat((torch.zeros(1, dtype=torch.long), ends[:-1]))
    in_order = peaks[order.argsort(descending=True, stable=True)]
    pairs = zip(starts.tolist(), ends.tolist(), strict=True)
    return torch.stack([in_order[start : max(start + 1, end)].max() for start, end in pairs])


def _limits(found: Report, count: int) -> Tensor:
    own = _half(found.threshold.value)
    top = max(float(peaks.max()) for each in found.seen.values() for peaks in each.columns)
    low = min(own, top) / DEEPEST
    spread = low * (max(top, own) / low) ** torch.linspace(0, 1, count - 1, dtype=torch.float64)
    return torch.cat((spread.half().float(), torch.tensor([own]))).unique()


def _half(value: float) -> float:
    """A threshold as the layer compares it: in float16."""
    return float(torch.tensor(value).half())


def _hits(tokens: Sequence[Tensor], limits: Tensor) -> Tensor:
    """(t, layers, tokens): whether a token reaches the limit there."""
    return torch.stack(list(tokens))[None] >= limits[:, None, None]


def _union(found: Report, mates: Sequence[Tensor], name: str, limits: Tensor) -> Tensor:
    own = found.seen[name].columns
    both = [torch.maximum(a, b) for a, b in zip(own, mates, strict=True)]
    return counts(both, limits).sum(1)
