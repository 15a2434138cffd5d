"""SlowFormer's losses (CVPR 2024), one number per picture: each grows with what a mechanism computes."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from engine.attack.moment import Moment
from engine.attack.sparse_objective import halting, models, seen
from engine.core.shapes import PerExample
from engine.model.sites import Site
from engine.model.victim import Forward

WEIGHTS = (1, 0.2, 0.05, 0.01, 0.005)
"""Of ATS's sampling blocks, the first one first; those beyond have the last."""


@dataclass(frozen=True)
class EvenAttention:
    """ATS: -sum_l w_l mean_(h, j) (A^l_h0j - 1/n)^2, what the class token reads, n all tokens of the picture."""

    sites: frozenset[Site] = frozenset({Site.ATTN, Site.SIGNIFICANCE})
    wants_clean: bool = False

    def __call__(self, out: Forward, at: Moment) -> PerExample:
        del at
        sampling = sorted(place.block for place in out.seen if place.site is Site.SIGNIFICANCE)
        read = [seen(out, Site.ATTN, block)[:, :, 0] for block in sampling]
        uneven = torch.stack([(a - 1 / a.shape[2]).square().mean((1, 2)) for a in read])
        weights = uneven.new_tensor([*WEIGHTS, *WEIGHTS[-1:] * len(read)][: len(read)])
        return -(weights[:, None] * uneven).sum(0)


@dataclass(frozen=True)
class Ponder:
    """A-ViT: the ponder cost that its training lowers, mean over tokens of rho = I + 1 - sum_(n < I) h^n.

    I is the number of blocks that run on a token; only the remainder has a gradient.
    """

    sites: frozenset[Site] = frozenset({Site.HALTING, Site.KEEP})
    wants_clean: bool = False

    def __call__(self, out: Forward, at: Moment) -> PerExample:
        del at
        return torch.stack([self._mean(out, blocks) for blocks in models(out)]).mean(0)

    def _mean(self, out: Forward, blocks: list[int]) -> PerExample:
        h, runs = halting(out, blocks)
        return (2 + (runs[1:] - runs[1:] * h[:-1]).sum(0)).mean(1)


@dataclass(frozen=True)
class Usage:
    """AdaViT: minus 2 (1 - heads) + 2 (1 - sub-layers) + 2 (1 - tokens)^2, the loss of its training.

    With all targets 1. Each is the mean of the decisions M over blocks, heads over those with a
    sub-layer on; M is 0 or 1 with the gradient of its sigmoid.
    """

    sites: frozenset[Site] = frozenset({Site.DECISION})
    wants_clean: bool = False

    def __call__(self, out: Forward, at: Moment) -> PerExample:
        del at
        tokens, heads, sublayers = (
            torch.stack([each.mean(1) for each in out.values(Site.DECISION, f"{kind}.hard")])
            for kind in ("tokens", "heads", "sublayers")
        )
        runs = (sublayers.detach() > 0).to(heads)
        used = (runs * heads).sum(0) / runs.sum(0).clamp_min(1)
        return -2 * ((1 - used) + (1 - sublayers.mean(0)) + (1 - tokens.mean(0)).square())
