"""AAS-AT: the attention-scaling step, now and then, on top of any adversarial training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from engine.alter.scaled import ascend
from engine.train.adversarial import Robust
from engine.train.awp import WeightPerturbed
from engine.train.network import Network, frozen
from engine.train.pictures import Pictures
from engine.train.recipe import Target, Turn
from engine.train.temper import folded, pull_scales, read_scales, tempered, untempered


@dataclass(frozen=True)
class ScaledRobust:
    """AAS-AT on top of `base`: one factor a block is model state, moved by AAS's ascent.

    In every `gap`-th epoch, for its first `batches` batches, s <- (1 - pull) s + pull s', s' found
    by `ascend` from s for the whole batch; weights are updated in all epochs alike. The shipped
    model has its factors folded into the rows of q. Source: AAS section on training, tgr_aas spec
    4.1 and its resolution. Departure: the printed algorithm replaces s by s', and does not update
    the weights meanwhile.
    """

    base: Robust | WeightPerturbed
    gap: int
    batches: int = 8
    pull: float = 0.1
    steps: int = 10
    rate: float = 0.1
    spread: float = 0.1

    def wrap(self, backbone: nn.Module) -> nn.Module:
        return tempered(self.base.wrap(backbone))

    def loss(self, net: Network, images: Tensor, target: Target, at: Turn) -> Tensor:
        if at.epoch and at.epoch % self.gap == 0 and at.step < self.batches:
            pull_scales(_body(net), self.goal(net, images, at), self.pull)
        return self.base.loss(net, images, target, at)

    def goal(self, net: Network, images: Tensor, at: Turn) -> Tensor:
        """s' `(l,)` of this batch."""
        found = ascend(
            frozen(net, untempered, images.shape[-1]),
            images,
            at.streams.inside("scales", at.step),
            steps=self.steps,
            rate=self.rate,
            spread=self.spread,
            shared=True,
            base=read_scales(_body(net))[None],
        )
        return found.factors[0]

    def finished(self, body: nn.Module) -> nn.Module:
        return folded(body)

    def card(self, net: Network, val: Pictures) -> dict[str, dict[str, Any]]:
        return self.base.card(net, val)


def _body(net: Network) -> VisionTransformer:
    return cast(VisionTransformer, net.body)
