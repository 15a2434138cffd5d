"""Sets of saved pictures, and what they make a model do."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from engine.core.shapes import Labels
from engine.model.victim import Victim
from engine.papers.desparsify.passes import Pass, look


@dataclass(frozen=True)
class Load:
    """What n saved pictures made a model do, each alone."""

    passes: tuple[Pass, ...]

    @staticmethod
    def of(victim: Victim, pixels: Tensor) -> Load:
        """8-bit pictures (n, 3, y, x)."""
        return Load(tuple(look(victim, pixels)))

    def rows(self, chosen: Tensor) -> Load:
        """Those of some of the pictures, by number."""
        return Load(tuple(self.passes[i] for i in chosen.tolist()))

    @cached_property
    def macs(self) -> Tensor:
        """(n,) float64."""
        return torch.tensor([each.macs for each in self.passes], dtype=torch.float64)

    @cached_property
    def answers(self) -> Labels:
        return torch.tensor([each.answer for each in self.passes])

    @cached_property
    def utilisation(self) -> Tensor:
        """Shares of tokens used (n,), float64."""
        return torch.tensor([each.utilisation for each in self.passes], dtype=torch.float64)

    @cached_property
    def decisions(self) -> Tensor:
        """Everything that can be asleep (n, k), bool: tokens by block, then AdaViT's heads and
        sub-layers."""
        return torch.stack(
            [
                torch.cat([x.flatten() for x in (p.keep, p.heads, p.sublayers) if x is not None])
                for p in self.passes
            ]
        )
