"""Which input columns of the linear layers LLM.int8 would send to 16 bits."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.model.sites import Site
from engine.model.victim import BlockShape, Forward
from engine.probe.probe import Lacks, Probe, Seen, Table

SITES = frozenset({Site.LINEAR_IN})
SLOTS = ("qkv", "q", "k", "v", "proj", "fc1", "fc2")


@dataclass(frozen=True)
class OutlierColumns:
    """Peaks of the inputs of every linear layer of one picture, in the order of `layers`.

    `columns[i]` (k,) is max over tokens of |x| per input column, `tokens[i]` (n,) max over columns
    per token, both rounded to float16. A column is an outlier at threshold t if its peak is >= t as
    float16 (inclusive, as bitsandbytes; spec QuantAttack A1, A2), so counts at any threshold come
    from here without another pass. They are of the victim that was seen: the float model, of which
    an int8 one differs by a few columns. Which threshold is usual is `quant_threshold`'s to say.
    """

    layers: tuple[tuple[int, str], ...]
    columns: tuple[Tensor, ...]
    tokens: tuple[Tensor, ...]
    shapes: tuple[BlockShape, ...]

    def counts(self, threshold: float) -> Tensor:
        """Outlier columns per layer (layers,)."""
        limit = torch.tensor(threshold).half().float()
        return torch.stack([(peak >= limit).sum() for peak in self.columns])

    def total(self, threshold: float) -> int:
        """Outlier columns of the picture."""
        return int(self.counts(threshold).sum())

    def reached_by(self, share: float) -> float:
        """The threshold that this share of the picture's columns reaches."""
        peaks = torch.cat(self.columns).sort().values
        return float(peaks[min(int((1 - share) * len(peaks)), len(peaks) - 1)])


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


def _read(seen: Seen) -> OutlierColumns:
    return read(seen.out, seen.victim.spec.blocks, seen.picture)


def _largest(read: OutlierColumns) -> list[float]:
    return [float(peak.max()) for peak in read.columns]


PROBE = Probe(
    "outliers",
    "Input columns that LLM.int8 would send to 16 bits",
    _read,
    lambda read: {"outlier_columns_at_6": read.total(6.0), "largest_input": max(_largest(read))},
    Table(
        "Largest inputs, by layer",
        "largest input",
        lambda read: {"": _largest(read)},
        place="layer",
        places=lambda read: [f"{block + 1} {slot}" for block, slot in read.layers],
    ),
    Lacks(
        "does not show the inputs of its linear layers here",
        "it has no linear layers inside its blocks",
        "the inputs of its linear layers come window by window",
    ),
    SITES,
)
