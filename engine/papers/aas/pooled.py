"""Leads of scores by block and head, and those of all heads, of all blocks, and of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.papers.aas.masking import Gaps


@dataclass(frozen=True)
class Pooled:
    """Shares of rows (l + 1, h + 1, bins) between neighbours of the edges; `past`, by threshold, the
    share of rows (l + 1, h + 1) beyond it; largest (l + 1, h + 1).

    The last entry is of all. A head that a block has not is 0 everywhere, and its largest is nan.
    """

    shares: Tensor
    past: Mapping[str, Tensor]
    largest: Tensor


def pooled(found: Gaps) -> Pooled:
    """Every row counts the same, so that a block with more tokens counts more."""
    rows = _with_all(found.counts.sum(2).double())
    counts = _with_all(found.counts.double())
    each = found.counts.sum(2).double()
    largest = found.largest.nan_to_num(-torch.inf)
    heads = torch.cat((largest, largest.amax(1, keepdim=True)), 1)
    blocks = torch.cat((heads, heads.amax(0, keepdim=True)))
    return Pooled(
        counts / rows[..., None].clamp_min(1),
        {
            name: _with_all(share.nan_to_num(0) * each) / rows.clamp_min(1)
            for name, share in found.past.items()
        },
        blocks.masked_fill(blocks.isinf(), torch.nan),
    )


def _with_all(values: Tensor) -> Tensor:
    """(l, h, ...) with the sum over heads as its last head, and that over blocks as its last block."""
    heads = torch.cat((values, values.sum(1, keepdim=True)), 1)
    return torch.cat((heads, heads.sum(0, keepdim=True)))
