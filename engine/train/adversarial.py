"""Adversarial training: the inner attack, the attention-scaling step, and what robustness came to."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from engine.core.streams import Streams
from engine.train import measure
from engine.train.network import Network
from engine.train.pictures import Pictures
from engine.train.recipe import Target, Turn, cross_entropy
from engine.train.temper import Scaling, folded, pull_scales, scaled, tempered


@dataclass(frozen=True)
class PGD:
    """x <- clip(x + step sign(grad loss)) inside the eps ball and [0, 1], from a uniform start.

    `eps` and `step` are in pixels of [0, 1]. Source: Madry et al., 2018; tgr_aas spec 3.6.
    """

    eps: float
    step: float
    steps: int

    def iterates(
        self, loss: Callable[[Tensor], Tensor], images: Tensor, generator: torch.Generator
    ) -> Iterator[Tensor]:
        """The pictures after each step; `loss` is ascended and must not couple pictures."""
        noise = 2 * torch.rand(images.shape, generator=generator) - 1
        low, high = (images - self.eps).clamp(min=0), (images + self.eps).clamp(max=1)
        x = (images + self.eps * noise.to(images.device)).clamp(low, high)
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


@dataclass(frozen=True)
class Robust:
    """PGD-AT: L = CE(f(x + delta), y), delta from `inner` against the current network.

    The network attacks itself in evaluation mode and learns in training mode. One inner step of
    1.25 eps is fast adversarial training (Wong et al., 2020). The card's robust accuracy is that
    under `judge` on the first `judged` pictures of `val` (None: all), which are even over classes.
    Source: Madry et al., 2018; tgr_aas spec 4.2. Departure: fewer inner steps than the usual ten.
    """

    inner: PGD
    judge: PGD
    judged: int | None = None

    def wrap(self, backbone: nn.Module) -> nn.Module:
        return backbone

    def loss(self, net: Network, images: Tensor, target: Target, at: Turn) -> Tensor:
        return cross_entropy(net(craft(self.inner, net, images, target, at)), target.blend)

    def finished(self, body: nn.Module) -> nn.Module:
        return body

    def card(self, net: Network, val: Pictures) -> dict[str, dict[str, Any]]:
        return {"measured": robustness(net, val.first(self.judged), self.judge)}


@dataclass(frozen=True)
class ScaledRobust:
    """AAS-AT on top of PGD-AT: the scales are model state, moved by the ascent now and then.

    In every `gap`-th epoch, for its first `batches` batches, s <- (1 - pull) s + pull s'; weights
    are updated in all epochs alike. The shipped model has its scales folded into the rows of q.
    Source: AAS section on training, tgr_aas spec 4.1 and its resolution. Departure: base loss of
    PGD-AT, not TRADES, to stand beside `Robust` at equal budget.
    """

    base: Robust
    gap: int
    batches: int
    pull: float
    scaling: Scaling = field(default_factory=Scaling)

    def wrap(self, backbone: nn.Module) -> nn.Module:
        return tempered(backbone)

    def loss(self, net: Network, images: Tensor, target: Target, at: Turn) -> Tensor:
        if at.epoch and at.epoch % self.gap == 0 and at.step < self.batches:
            net.eval()
            goal = self.scaling.ascend(net, images, at.streams.at("scales", at.step))
            pull_scales(cast(VisionTransformer, net.body), goal, self.pull)
            net.train()
        return self.base.loss(net, images, target, at)

    def finished(self, body: nn.Module) -> nn.Module:
        return folded(body)

    def card(self, net: Network, val: Pictures) -> dict[str, dict[str, Any]]:
        return self.base.card(net, val)


def craft(inner: PGD, net: Network, images: Tensor, target: Target, at: Turn) -> Tensor:
    """Adversarial training pictures against the network in evaluation mode."""
    net.eval()
    x = inner.attack(
        lambda x: cross_entropy(net(x), target.blend) * len(x),
        images,
        at.streams.at("perturbation", at.step),
    )
    net.train()
    return x


def robustness(net: Network, pictures: Pictures, judge: PGD) -> dict[str, Any]:
    """Accuracy under `judge`, crafted on the network, and on it or its scaled self (AAS).

    A picture counts only if no iterate is misclassified. For AAS the scales are ascended per batch,
    the attack is crafted on the scaled network and every iterate is scored on the network as it
    is; the figure is the union of the plain and the scaled attack (spec 3.7, 6).
    """
    net.eval()
    other = Network(tempered(copy.deepcopy(net.body)), (0.0,) * 3, (1.0,) * 3).to(net.mean.device)
    other.mean, other.std = net.mean, net.std
    other.eval()
    streams, plain, both = Streams(0), 0, 0
    for number, (images, labels) in enumerate(measure.batches(pictures, net.mean.device)):
        noise = streams.at("judge", number)
        left = _survivors(net, net, judge, images, labels, noise)
        plain += len(left)
        if not len(left):
            continue
        scales = Scaling().ascend(other, images, streams.at("judge scales", number))
        with scaled(cast(VisionTransformer, other.body), scales):
            scaled_noise = streams.at("judge scaled", number)
            both += len(_survivors(net, other, judge, images[left], labels[left], scaled_noise))
    count = len(pictures.labels)
    return {
        f"pgd{judge.steps}_accuracy": round(plain / count, 4),
        f"pgd{judge.steps}_aas_accuracy": round(both / count, 4),
        "robust_images": count,
        "eps": judge.eps,
        "step": judge.step,
    }


def _survivors(
    net: Network,
    source: Network,
    judge: PGD,
    images: Tensor,
    labels: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """Rows of the pictures `net` has right at the start and at every iterate crafted on `source`."""
    with torch.no_grad():
        rows = (net(images).argmax(1) == labels).nonzero().squeeze(1)
    images, labels = images[rows], labels[rows]
    safe = torch.ones_like(labels, dtype=torch.bool)

    def loss(x: Tensor) -> Tensor:
        logits = source(x)
        if source is net:
            safe.logical_and_(logits.argmax(1) == labels)
        return F.cross_entropy(logits, labels, reduction="sum")

    x = images
    for x in judge.iterates(loss, images, generator):
        if source is not net:
            with torch.no_grad():
                safe &= net(x).argmax(1) == labels
    with torch.no_grad():
        safe &= net(x).argmax(1) == labels
    return rows[safe]
