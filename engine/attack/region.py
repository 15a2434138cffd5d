"""Budgets that differ by channel and place: normalised-space balls, patches, dots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from engine.core.shapes import Images, PerExample
from engine.core.streams import normal, uniform

Where = Literal["everywhere", "corner", "dots"]


@dataclass(frozen=True)
class Region:
    """{x : |x - x0| <= eps_c inside the region, x = x0 outside, 0 <= x <= 1}, eps per channel.

    "corner" is a square of `size` pixels in the upper left, "dots" squares of `size` pixels in the
    middle of each `patch` x `patch` square (QuantAttack's masks, spec A5; there with eps 1).
    """

    eps: tuple[float, float, float]
    where: Where = "everywhere"
    size: int = 32
    patch: int = 16

    def project(self, x: Images, x0: Images) -> Images:
        reach = self.reach(x0)
        return x.clamp(x0 - reach, x0 + reach).clamp(0, 1)

    def sample(self, x0: Images, gen: torch.Generator) -> Images:
        """Uniform in the region's ball, then clipped to the box."""
        noise = uniform(x0.shape, gen).to(x0) * 2 - 1
        return self.project(x0 + self.reach(x0) * noise, x0)

    def distance(self, x: Images, x0: Images) -> PerExample:
        return (x - x0).abs().amax((1, 2, 3))

    def reach(self, x: Images) -> Tensor:
        """The largest change of each pixel (1, 3, y, x)."""
        eps = x.new_tensor(self.eps).view(1, 3, 1, 1)
        rows, columns = (self._inside(side, x) for side in x.shape[2:])
        return eps * rows[:, None] * columns

    def _inside(self, side: int, like: Tensor) -> Tensor:
        """1 where a row or column crosses the region (side,)."""
        place = torch.arange(side, device=like.device)
        if self.where == "corner":
            return (place < self.size).to(like)
        if self.where == "dots":
            offset = place % self.patch - (self.patch - self.size) // 2
            return ((offset >= 0) & (offset < self.size)).to(like)
        return torch.ones_like(place, dtype=like.dtype)


@dataclass(frozen=True)
class Bell(Region):
    """The same region, but a random start is normal noise of `spread` budgets, put back inside."""

    spread: float = 1.0

    def sample(self, x0: Images, gen: torch.Generator) -> Images:
        noise = normal(x0.shape, gen).to(x0)
        return self.project(x0 + self.spread * self.reach(x0) * noise, x0)
