"""Training token sparsifiers on top of a dense ViT: what to pay for work, and what it came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from engine.model.sparse import AdaViT, Halting, SparseViT, constants, cost, layout_of, live_start
from engine.model.sparse.trace import Decisions, Trace
from engine.train import measure
from engine.train.losses import cross_entropy
from engine.train.network import Network
from engine.train.pictures import Pictures
from engine.train.recipe import Target, Turn


@dataclass(frozen=True)
class Ponder:
    """A-ViT (Yin et al., CVPR 2022): L = CE + a_p mean rho + a_d KL(prior || H), spec 2.4.

    rho are the blocks a patch is executed in, H the mean halting score of each block over images
    and patches, normalised to sum 1, prior a normal density over blocks. Departures from the
    published code: it leaves out the batch's first image where it means the class token, divides
    the divergence by L and drops it when negative; here neither, and the gate starts live
    (spec 6.4).
    """

    ponder: float
    prior: float
    prior_block: float
    prior_spread: float = 1.0

    def wrap(self, backbone: nn.Module) -> nn.Module:
        return live_start(cast(VisionTransformer, backbone))

    def loss(self, net: Network, images: Tensor, target: Target, at: Turn) -> Tensor:
        logits, trace = _sparse(net).trace(net.normalise(images))
        gates, prefix = trace.gates, trace.layout.prefix
        assert isinstance(gates, Halting)
        ponder = gates.rho[:, prefix:].mean()
        divergence = self.divergence(gates.h[:, :, prefix:])
        return cross_entropy(logits, target.blend) + self.ponder * ponder + self.prior * divergence

    def divergence(self, h: Tensor) -> Tensor:
        """KL(prior || H) of halting scores `(l, b, p)`; blocks count from 1."""
        blocks = torch.arange(1, len(h) + 1, device=h.device)
        prior = torch.softmax(-(((blocks - self.prior_block) / self.prior_spread) ** 2) / 2, dim=0)
        halted = h.mean(dim=(1, 2))
        halted = (halted / halted.sum()).clamp(0.01, 0.99)
        return (prior * (prior.log() - halted.log())).sum()

    def finished(self, body: nn.Module) -> nn.Module:
        return body

    def card(self, net: Network, val: Pictures) -> dict[str, dict[str, Any]]:
        return {"sparsifier": constants(_sparse(net).sparsifier), "measured": spent(net, val)}


@dataclass(frozen=True)
class Usage:
    """AdaViT (Meng et al., CVPR 2022): L = CE + weight * sum_kind (mean usage - target)^2, spec 3.4.

    Means run over images, deciding blocks and decisions of a kind (patches, heads, sub-layers), so
    that one image may cost more than another. Departures: the squared form of the paper for all
    three kinds (the released code takes |.| for two); decisions are sampled in the first share
    `sampled` of training only and taken as in evaluation afterwards, so that the trained cost is
    the measured one; the sampling temperature is 1 where the released code has 5.
    """

    tokens: float
    heads: float
    sublayers: float
    weight: float
    sampled: float
    temperature: float = 1.0

    def wrap(self, backbone: nn.Module) -> nn.Module:
        sparsifier = AdaViT(layout_of(backbone), temperature=self.temperature)
        return SparseViT(cast(VisionTransformer, backbone), sparsifier)

    def loss(self, net: Network, images: Tensor, target: Target, at: Turn) -> Tensor:
        sampled = at.progress < self.sampled
        noise = at.streams.at("decisions", at.step) if sampled else None
        logits, trace = _sparse(net).trace(net.normalise(images), generator=noise)
        return cross_entropy(logits, target.blend) + self.weight * self.excess(trace)

    def excess(self, trace: Trace) -> Tensor:
        """sum over kinds of (mean usage - target)^2."""
        assert isinstance(trace.gates, Decisions)
        used = trace.gates.hard
        kinds = (
            (used.tokens, self.tokens),
            (used.heads, self.heads),
            (used.sublayers, self.sublayers),
        )
        return torch.stack([(hard.float().mean() - goal) ** 2 for hard, goal in kinds]).sum()

    def finished(self, body: nn.Module) -> nn.Module:
        return body

    def card(self, net: Network, val: Pictures) -> dict[str, dict[str, Any]]:
        return {"sparsifier": constants(_sparse(net).sparsifier), "measured": spent(net, val)}


@torch.no_grad()
def spent(net: Network, pictures: Pictures) -> dict[str, float]:
    """Mean token utilisation and multiply-accumulates (1e9) of a split, and those of the dense host."""
    net.eval()
    model, device = _sparse(net), net.mean.device
    used, macs = 0.0, 0.0
    for images, _ in measure.batches(pictures, device):
        _, trace = model.trace(net.normalise(images))
        used += float(cost.utilisation(trace).sum())
        macs += float(cost.macs(trace).double().sum())
    count = len(pictures.labels)
    return {
        "token_utilisation": round(used / count, 4),
        "gmacs": round(macs / count / 1e9, 4),
        "base_gmacs": round(cost.dense_macs(model.layout) / 1e9, 4),
    }


def _sparse(net: Network) -> SparseViT:
    assert isinstance(net.body, SparseViT)
    return net.body
