"""The inner attack of adversarial training: PGD, in as few passes as it has steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from engine.core.knobs import Knobbed, knob

NEAR = 0.001


@dataclass(frozen=True)
class PGD(Knobbed):
    """x <- clip(x + step sign(grad loss)) inside the eps ball and [0, 1], from a random start.

    The start is U(-eps, eps) off the picture or, for losses that have no slope at the picture
    itself, N(0, 0.001^2). `eps` and `step` are in pixels of [0, 1]. Source: Madry et al., 2018;
    Zhang et al., 2019 (the second start); tgr_aas spec 3.6, 4.2.
    """

    eps: float = knob(4 / 255, "How far any pixel may move", low=0.0, high=1.0, unit="1/255")
    step: float = knob(1 / 255, "How far a pixel moves a step", low=0.0, high=1.0, unit="1/255")
    steps: int = knob(10, "Steps, a forward and a backward pass each", low=1, high=1000)
    start: Literal["uniform", "near"] = knob(
        "uniform", "Anywhere in the ball, or next to the picture", choices=("uniform", "near")
    )

    def iterates(
        self, loss: Callable[[Tensor], Tensor], images: Tensor, generator: torch.Generator
    ) -> Iterator[Tensor]:
        """The pictures after each step; `loss` is ascended and must not couple pictures."""
        low, high = (images - self.eps).clamp(min=0), (images + self.eps).clamp(max=1)
        x = (images + self._offset(images.shape, generator).to(images.device)).clamp(low, high)
        for _ in range(self.steps):
            x.requires_grad_()
            (slope,) = torch.autograd.grad(loss(x), x)
            x = (x.detach() + self.step * slope.sign()).clamp(low, high)
            yield x

    def attack(
        self, loss: Callable[[Tensor], Tensor], images: Tensor, generator: torch.Generator
    ) -> Tensor:
        """The last iterate."""
        *_, last = self.iterates(loss, images, generator)
        return last

    def _offset(self, shape: torch.Size, generator: torch.Generator) -> Tensor:
        if self.start == "near":
            return NEAR * torch.randn(shape, generator=generator)
        return self.eps * (2 * torch.rand(shape, generator=generator) - 1)
