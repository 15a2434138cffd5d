"""Which input columns of the linear layers LLM.int8 would send to 16 bits."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.model.sites import Site
from engine.model.victim import BlockShape, Forward

SITES = frozenset({Site.LINEAR_IN})
SLOTS = ("qkv", "q", "k", "v", "proj", "fc1", "fc2")


@dataclass(frozen=True)
class OutlierColumns:
    """Peaks of the inputs of every linear layer of one picture, in the order of `layers`.

    `columns[i]` (k,) is max over tokens of |x| per input column, `tokens[i]` (n,) max over columns
    per token. A column is an outlier at threshold t if its peak, rounded to float16, is >= t
    (inclusive, as bitsandbytes; spec QuantAttack A1, A2), so counts at any threshold come from
    here without another pass.
    """

    layers: tuple[tuple[int, str], ...]
    columns: tuple[Tensor, ...]
    tokens: tuple[Tensor, ...]
    shapes: tuple[BlockShape, ...]

    def counts(self, threshold: float) -> Tensor:
        """Outlier columns per layer (layers,)."""
        return torch.stack([(peak >= threshold).sum() for peak in self.columns])

    def total(self, threshold: float) -> int:
        return int(self.counts(threshold).sum())

    def share(self, threshold: float) -> float:
        """Outlier columns as a share of all columns."""
        return self.total(threshold) / sum(peak.numel() for peak in self.columns)

    def hf_equivalent(self, threshold: float) -> int:
        """The count with q, k, v as three layers, as Hugging Face's ViT has them."""
        weights = torch.tensor([3 if slot == "qkv" else 1 for _, slot in self.layers])
        return int((self.counts(threshold) * weights).sum())

    def threshold_for(self, share: float) -> float:
        """The threshold at which this share of columns is an outlier."""
        return float(torch.quantile(torch.cat(self.columns), 1 - share))


def read(out: Forward, shapes: tuple[BlockShape, ...], index: int = 0) -> OutlierColumns:
    """The peaks of image `index` of a pass that recorded LINEAR_IN."""
    places = sorted(
        (at for at in out.seen if at.site is Site.LINEAR_IN),
        key=lambda at: (at.block, SLOTS.index(at.slot)),
    )
    columns: list[Tensor] = []
    tokens: list[Tensor] = []
    for at in places:
        size = out.seen[at][index].detach().abs()
        columns.append(size.amax(0).half().float().cpu())
        tokens.append(size.amax(1).half().float().cpu())
    return OutlierColumns(
        tuple((at.block, at.slot) for at in places), tuple(columns), tuple(tokens), shapes
    )
