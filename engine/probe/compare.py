"""What readings of an attacked picture say against those of the clean one, and of the noise control."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from engine.probe.depth import Depth
from engine.probe.gradients import GradientVariance
from engine.probe.outliers import OutlierColumns
from engine.probe.scores import ScoreGaps
from engine.probe.tokens import TokenMasks

APART = 3.0
READ = 0.5
OFFERED = 61


def entropy(rows: Float[Tensor, "*r n"]) -> Float[Tensor, "*r"]:
    """Entropy in bits of rows (..., n) that sum to 1."""
    return -torch.special.xlogy(rows, rows).sum(-1) / torch.log(rows.new_tensor(2.0))


def moved(a: Float[Tensor, "*r n"], b: Float[Tensor, "*r n"]) -> Float[Tensor, "*r"]:
    """The share of a row's weight that lies elsewhere in another: sum |a - b| / 2 over (..., n)."""
    return (a - b).abs().sum(-1) / 2


class Turned(NamedTuple):
    """The head whose attention moved most: how much, how much under noise, its bits before and after."""

    block: int
    head: int
    share: float
    noise: float
    bits: tuple[float, float]


def turned(clean: Sequence[Tensor], now: Sequence[Tensor], noise: Sequence[Tensor]) -> Turned:
    """Of one query's attention per block (h, n), on three pictures."""
    shares = [moved(a, b) for a, b in zip(clean, now, strict=True)]
    block = max(range(len(shares)), key=lambda at: float(shares[at].max()))
    head = int(shares[block].argmax())
    a, b = clean[block][head], now[block][head]
    return Turned(
        block,
        head,
        float(shares[block][head]),
        float(moved(a, noise[block][head])),
        (float(entropy(a)), float(entropy(b))),
    )


def spread(rows: Sequence[Tensor]) -> list[float]:
    """Bits of one query's attention per block, mean over heads, of rows (h, n)."""
    return [float(entropy(row.mean(0))) for row in rows]


@dataclass(frozen=True)
class Against:
    """One measure of the gradients against the clean picture's, per component (3,).

    typical = geometric mean over blocks of now / clean, where both are above zero; `far` is the block
    that is most apart, by |log|. Where no block can be compared, NaN and -1.
    """

    typical: Float[Tensor, " 3"]
    far: Int[Tensor, " 3"]


def against(clean: Float[Tensor, "l 3"], now: Float[Tensor, "l 3"]) -> Against:
    """Of a measure per block and component (l, 3) on two pictures."""
    ratio = now.double() / clean.double()
    apart = torch.where(_positive(ratio), ratio.log().abs(), -1.0)
    far = torch.where((apart >= 0).any(0), apart.argmax(0), -1)
    return Against(geometric(ratio, 0), far)


def measures(read: GradientVariance) -> dict[str, Tensor]:
    """The measures of a reading by name, each (l, 3)."""
    names = ("variance", "dispersion", "kurtosis")
    return {name: getattr(read, name) for name in names}


def geometric(values: Tensor, dim: int) -> Tensor:
    """The geometric mean of what is finite and above zero; NaN where nothing is."""
    return torch.where(_positive(values), values.double().log(), torch.nan).nanmean(dim).exp()


def _positive(values: Tensor) -> Tensor:
    return values.isfinite() & (values > 0)


class Widest(NamedTuple):
    """The largest gap of two readings and its block; the largest shares of rows that lose a gradient."""

    gap: float
    block: int
    cancels: float
    cancels_block: int
    underflows: float


def widest(clean: ScoreGaps, now: ScoreGaps) -> Widest:
    tops = torch.stack([clean.quantiles[:, -1], now.quantiles[:, -1]])
    cancels = torch.stack([clean.cancels, now.cancels])
    depth = tops.shape[1]
    return Widest(
        float(tops.max()),
        int(tops.argmax()) % depth,
        float(cancels.max()),
        int(cancels.argmax()) % depth,
        float(max(clean.underflows.max(), now.underflows.max())),
    )


def offered(reads: Sequence[OutlierColumns], default: float, share: float) -> Float[Tensor, " t"]:
    """Thresholds that a visitor can choose (t,), float16, rising in equal ratios.

    From where this share of the first reading's columns reaches them (or the default, if that is
    lower) to the largest input; the default is among them.
    """
    low = min(default, reads[0].reached_by(share))
    top = max(float(peak.max()) for read in reads for peak in read.columns)
    steps = torch.linspace(0, 1, OFFERED, dtype=torch.float64)
    even = low * (max(top, low) / low) ** steps
    return torch.cat([even, even.new_tensor([default])]).half().float().unique()


def counts(
    columns: Sequence[Float[Tensor, " _"]], thresholds: Float[Tensor, " t"]
) -> Int[Tensor, "t layers"]:
    """Outlier columns per threshold and layer (t, layers), of each layer's largest inputs (k,)."""
    sorted_up = [peak.sort().values for peak in columns]
    return torch.stack([len(up) - torch.searchsorted(up, thresholds) for up in sorted_up], 1)


def as_hugging_face(counts: Tensor, read: OutlierColumns) -> Tensor:
    """Columns per threshold (t,) with q, k and v as layers of their own, as that library has them."""
    return (counts * counts.new_tensor([3 if s == "qkv" else 1 for _, s in read.layers])).sum(-1)


class Parting(NamedTuple):
    """The block from which on a picture stays APART times as far from clean as noise, and by how much."""

    block: int | None
    times: float | None
    end: float


def parting(now: Depth, noise: Depth) -> Parting:
    """Of the distances by block; `end` is the ratio after the last block."""
    ratio = now.cosine / noise.cosine
    near = (~(now.cosine > APART * noise.cosine)).nonzero()
    block = int(near[-1]) + 1 if len(near) else 0
    if block == len(ratio):
        return Parting(None, None, float(ratio[-1]))
    return Parting(block, float(ratio[block]), float(ratio[-1]))


def read_from(lens: Float[Tensor, "l k"], limit: float = READ) -> list[int | None]:
    """Per class the first block from which on it keeps at least `limit` of `lens` (l, k), if any."""
    below = lens < limit
    depth = len(lens)
    last = [int(each.nonzero()[-1]) + 1 if each.any() else 0 for each in below.T]
    return [None if at == depth else at for at in last]


def woken(clean: TokenMasks, now: TokenMasks) -> Int[Tensor, " l"]:
    """Tokens kept now that were dropped on the clean picture, per sparsified block (l,)."""
    return (now.keep & ~clean.keep).sum(1)
