"""Where an adversarial picture may lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch

from engine.core.shapes import Images, PerExample
from engine.core.streams import uniform


class Constraint(Protocol):
    """A set around x0 that includes the [0, 1] box; `project` is idempotent."""

    def project(self, x: Images, x0: Images) -> Images: ...
    def sample(self, x0: Images, gen: torch.Generator) -> Images: ...
    def distance(self, x: Images, x0: Images) -> PerExample: ...


@dataclass(frozen=True)
class LinfBall:
    """{x : max|x - x0| <= eps, 0 <= x <= 1}, eps in pixels of [0, 1]."""

    eps: float

    def project(self, x: Images, x0: Images) -> Images:
        return x.clamp(x0 - self.eps, x0 + self.eps).clamp_(0, 1)

    def ends(self, x0: Images) -> tuple[Images, Images]:
        """The lowest and the highest value that each pixel may have."""
        return (x0 - self.eps).clamp_min_(0), (x0 + self.eps).clamp_max_(1)

    def sample(self, x0: Images, gen: torch.Generator) -> Images:
        """Uniform in the ball, then clipped to the box."""
        noise = uniform(x0.shape, gen).to(x0) * 2 - 1
        return self.project(x0 + self.eps * noise, x0)

    def distance(self, x: Images, x0: Images) -> PerExample:
        return (x - x0).abs().amax((1, 2, 3))


@dataclass(frozen=True)
class LinfCorners(LinfBall):
    """The same ball, but a random start is one of its corners: x0 +- eps at every pixel."""

    def sample(self, x0: Images, gen: torch.Generator) -> Images:
        noise = uniform(x0.shape, gen).to(x0) - 0.5
        return self.project(x0 + self.eps * noise.sign(), x0)


def to_8bit(x: Images, x0: Images, eps: float) -> torch.Tensor:
    """Round pixels to 0..255 (uint8) without leaving the eps ball around the 8-bit picture x0.

    The bound is taken in integers, floor(255 eps), so it holds exactly after saving. The published
    codes truncate instead and can exceed eps by 1/255.
    """
    low = (x0 * 255).round()
    bound = whole(eps)
    return (x * 255).round().clamp(low - bound, low + bound).clamp(0, 255).to(torch.uint8)


def whole(eps: float) -> int:
    """floor(255 eps): the budget in whole 255ths, where 8 / 255 is 8 whatever floats make of it."""
    return int(eps * 255 + 1e-4)
