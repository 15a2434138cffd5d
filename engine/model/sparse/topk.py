"""Top-k: chosen blocks keep a fixed share of their patches, so that no picture costs more than another."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.core.errors import BadKnob
from engine.model.sparse.bound import whole
from engine.model.sparse.pruner import Pruner, share
from engine.model.sparse.trace import Layout


class TopK(Pruner):
    """Fixed-ratio pruning by class attention (EViT: Liang et al., ICLR 2022); nothing is trained.

    Each block of `blocks` keeps the k = ceil(keep p) of its p patches to which the class token
    attends most, S_j = 1/H sum_h A^h_0j; of equal ones the first. The others are dropped
    (`Pruner`). `blocks` are 0-based, by default after one, two and three quarters of the depth
    (3, 6, 9 of 12). Departure: EViT fuses what it drops into one more token, and fine-tunes.
    Raises `BadKnob`.
    """

    title = "Top-k"

    def __init__(self, blocks: tuple[int, ...] | None = None, *, keep: float = 0.7) -> None:
        super().__init__()
        if not 0 < keep <= 1:
            raise BadKnob("keep", keep, "a share above 0, up to 1")
        self.blocks = blocks
        self.keep = keep

    def pruning(self, layout: Layout) -> tuple[int, ...]:
        if self.blocks is None:
            return tuple(sorted({layout.depth * quarter // 4 for quarter in (1, 2, 3)}))
        return tuple(sorted(set(self.blocks)))

    def scores(self, attention: Tensor, v: Tensor, valid: Tensor, prefix: int) -> Tensor:
        del v
        precise = torch.promote_types(attention.dtype, torch.float32)
        return share(attention.mean(1, dtype=precise), valid, prefix)

    def pick(self, s: Tensor, layout: Layout, entering: Tensor) -> tuple[Tensor, Tensor]:
        """The k of highest S, and min(1, k S)."""
        kept = [whole(self.keep * patches) for patches in range(layout.patches + 1)]
        k = torch.tensor(kept, device=s.device)[entering.sum(1, keepdim=True)]
        places = s.detach().masked_fill(~entering, -1).argsort(dim=1, descending=True, stable=True)
        picked = places.argsort(dim=1) < k
        return picked, (k * s).clamp_max(1)
