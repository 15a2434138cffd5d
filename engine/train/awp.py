"""Adversarial weight perturbation: descend where the weights themselves were moved uphill first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from engine.train.adversarial import Robust
from engine.train.network import Answer, Network
from engine.train.pictures import Pictures
from engine.train.recipe import Target, Turn

TINY = 1e-20


@dataclass(frozen=True)
class WeightPerturbed:
    """AWP on top of `base`: its loss at w + v instead of w, v = gamma |w| g / |g|, g = dL/dw there.

    v is found anew for each batch and for each matrix or kernel by itself, once the share `since`
    of training is done. Costs one more pass of the loss. Source: Wu et al., 2020; tgr_aas spec 4.2
    (one step of plain SGD on a copy: its rate cancels).
    """

    base: Robust
    gamma: float
    since: float = 0.0

    def wrap(self, backbone: nn.Module) -> nn.Module:
        return self.base.wrap(backbone)

    def loss(self, net: Network, images: Tensor, target: Target, at: Turn) -> Tensor:
        crafted = self.base.craft(net, images, target, at)

        def learned(answer: Answer) -> Tensor:
            return self.base.learned(answer, images, crafted, target)

        return learned(net if at.progress < self.since else self.uphill(net, learned))

    def uphill(self, net: Network, learned: Callable[[Answer], Tensor]) -> Answer:
        """The network at w + v; what is taken through it is the gradient for w."""
        kernels = {n: w for n, w in net.named_parameters() if w.ndim > 1 and n.endswith("weight")}
        slopes = torch.autograd.grad(learned(net), tuple(kernels.values()))
        moved = {
            name: w + (self.gamma * w.norm() / (g.norm() + TINY) * g).detach()
            for (name, w), g in zip(kernels.items(), slopes, strict=True)
        }
        return lambda x: functional_call(net, moved, (x,))

    def finished(self, body: nn.Module) -> nn.Module:
        return self.base.finished(body)

    def card(self, net: Network, val: Pictures) -> dict[str, dict[str, Any]]:
        return self.base.card(net, val)
