"""Adversarial training: pictures are crafted against the network as it is, and learned from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from engine.train import losses
from engine.train.network import Answer, Network
from engine.train.pgd import PGD
from engine.train.pictures import Pictures
from engine.train.recipe import Target, Turn
from engine.train.robustness import robustness


@dataclass(frozen=True)
class Robust:
    """PGD-AT: L = CE(f(x'), y), x' from `inner` against the current network.

    The network attacks itself in evaluation mode and learns in training mode. One inner step of
    1.25 eps is fast adversarial training (Wong et al., 2020). The card's robust accuracy is that
    under `judge` on the first `judged` pictures of `val` (None: all), which are even over classes.
    Source: Madry et al., 2018; tgr_aas spec 4.2. Other methods differ in `ascended` and `learned`.
    """

    inner: PGD
    judge: PGD
    judged: int | None = None

    def wrap(self, backbone: nn.Module) -> nn.Module:
        return backbone

    def loss(self, net: Network, images: Tensor, target: Target, at: Turn) -> Tensor:
        return self.learned(net, images, self.craft(net, images, target, at), target)

    def craft(self, net: Network, images: Tensor, target: Target, at: Turn) -> Tensor:
        """The pictures x' to learn from; the network is left in training mode."""
        net.eval()
        ascended = self.ascended(net, images, target)
        x = self.inner.attack(ascended, images, at.streams.at("perturbation", at.step))
        net.train()
        return x

    def ascended(self, net: Answer, images: Tensor, target: Target) -> Callable[[Tensor], Tensor]:
        """What x' maximises: a sum over pictures."""
        del images
        return lambda x: losses.cross_entropy(net(x), target.blend) * len(x)

    def learned(self, net: Answer, images: Tensor, crafted: Tensor, target: Target) -> Tensor:
        """What the weights minimise: a mean over pictures."""
        del images
        return losses.cross_entropy(net(crafted), target.blend)

    def finished(self, body: nn.Module) -> nn.Module:
        return body

    def card(self, net: Network, val: Pictures) -> dict[str, dict[str, Any]]:
        return {"measured": robustness(net, val.first(self.judged), self.judge)}


@dataclass(frozen=True)
class Trades(Robust):
    """TRADES: L = CE(f(x), y) + beta KL(f(x) || f(x')), x' ascends that divergence.

    At the picture itself the divergence has no slope, so x' is to start near it. Source: Zhang et
    al., 2019; tgr_aas spec 4.2.
    """

    beta: float = 6.0

    def ascended(self, net: Answer, images: Tensor, target: Target) -> Callable[[Tensor], Tensor]:
        with torch.no_grad():
            clean = net(images)
        return lambda x: losses.divergence(clean, net(x)).sum()

    def learned(self, net: Answer, images: Tensor, crafted: Tensor, target: Target) -> Tensor:
        return losses.trades(net(images), net(crafted), target.blend, self.beta)


@dataclass(frozen=True)
class Mart(Robust):
    """MART: L = BCE(f(x'), y) + beta KL(f(x) || f(x')) (1 - p_y(x)), x' ascends cross-entropy.

    What is misclassified weighs more. Source: Wang et al., 2020; tgr_aas spec 4.2.
    """

    beta: float = 6.0

    def learned(self, net: Answer, images: Tensor, crafted: Tensor, target: Target) -> Tensor:
        return losses.mart(net(images), net(crafted), target.blend, self.beta)
