"""Which tokens a sparsified victim keeps, and what it pays for them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.model.sites import Site
from engine.model.victim import BlockShape, Forward

SITES = frozenset({Site.KEEP})


@dataclass(frozen=True)
class TokenMasks:
    """Kept tokens of one picture: keep (l, n) bool in original positions, prefix tokens first.

    utilisation = mean over the sparsified blocks of kept / all tokens (spec DeSparsify 4.7).
    """

    keep: Tensor
    blocks: tuple[int, ...]
    shape: BlockShape

    @property
    def kept(self) -> Tensor:
        """Tokens kept per sparsified block (l,)."""
        return self.keep.sum(1)

    @property
    def utilisation(self) -> float:
        return float(self.keep.float().mean())


def read(out: Forward, shape: BlockShape, index: int = 0) -> TokenMasks:
    """The masks of image `index` of a pass that recorded KEEP."""
    places = sorted(at for at in out.seen if at.site is Site.KEEP)
    keep = torch.stack([out.seen[at][index].detach() > 0.5 for at in places]).cpu()
    return TokenMasks(keep, tuple(at.block for at in places), shape)
