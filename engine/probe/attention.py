"""Where tokens look: attention maps, their mean over heads, and rollout."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.model.sites import Site
from engine.model.victim import BlockShape, Forward
from engine.probe.probe import Lacks, Probe, Seen, Table

SITES = frozenset({Site.ATTN})


@dataclass(frozen=True)
class AttentionMaps:
    """Attention of one picture: per block a map (h, n, n) of 8-bit numbers, each row with its scale.

    `maps[l][h, i, j] * scales[l][h, i]` is the attention of query i to key j; 8 bits keep a row
    within 0.2 % of its largest entry and let every step of a run be kept.
    """

    maps: tuple[Tensor, ...]
    scales: tuple[Tensor, ...]
    shapes: tuple[BlockShape, ...]

    def row(self, block: int, query: int) -> Tensor:
        """Attention of one query to all keys (h, n) in a block, float."""
        return self.maps[block][:, query].float() * self.scales[block][:, query, None]

    def full(self, block: int) -> Tensor:
        """The map (h, n, n) of a block, float; rows sum to 1 within the rounding."""
        return self.maps[block].float() * self.scales[block].unsqueeze(-1)

    def rollout(self, residual: float = 0.5, query: int = 0) -> Tensor | None:
        """Attention rollout (Abnar & Zuidema, 2020): what reaches a token (n,), class token first.

        R = prod_l (residual I + (1 - residual) mean_h A_l), read at row `query` and normalised;
        None where blocks differ in their tokens or there is no class token.
        """
        counts = {each.shape[-1] for each in self.maps}
        if len(counts) != 1 or self.shapes[0].prefix == self.shapes[0].tokens:
            return None
        row = torch.zeros(counts.pop())
        row[query] = 1
        for block in reversed(range(len(self.maps))):
            a = self.full(block).mean(0)
            row = residual * row + (1 - residual) * (row @ a)
        return row / row.sum()

    def entropy(self) -> Tensor:
        """Mean entropy of the rows in bits, per block and head (l, h); heads padded with NaN."""
        rows = [self.full(block) for block in range(len(self.maps))]
        each = [-(a * a.clamp_min(1e-12).log2()).sum(-1).mean(-1) for a in rows]
        return torch.nn.utils.rnn.pad_sequence(each, batch_first=True, padding_value=torch.nan)


def read(out: Forward, shapes: tuple[BlockShape, ...], index: int = 0) -> AttentionMaps:
    """The maps of image `index` of a pass that recorded ATTN."""
    maps: list[Tensor] = []
    scales: list[Tensor] = []
    for value in out.values(Site.ATTN):
        a = value[index].detach()
        scale = a.amax(-1).clamp_min(1e-12) / 255
        maps.append((a / scale.unsqueeze(-1)).round().to(torch.uint8).cpu())
        scales.append(scale.cpu())
    return AttentionMaps(tuple(maps), tuple(scales), shapes)


def _entropy(maps: AttentionMaps) -> list[float]:
    return maps.entropy().nanmean(1).tolist()


def _read(seen: Seen) -> AttentionMaps:
    return read(seen.out, seen.victim.spec.blocks, seen.picture)


PROBE = Probe(
    "attention",
    "Where tokens look, per head and block",
    _read,
    lambda maps: {"attention_entropy_bits": _entropy(maps)},
    Table(
        "Attention entropy, by block",
        "entropy of attention, bits",
        lambda maps: {"": _entropy(maps)},
    ),
    Lacks(
        "does not show its attention maps here",
        "it has no attention to look at",
        "its attention stays inside windows, not over the whole picture",
    ),
    SITES,
)
