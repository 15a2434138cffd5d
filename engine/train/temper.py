"""One scale a block on the pre-softmax scores: installing it, moving it, folding it away."""

from __future__ import annotations

import copy
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from engine.model.sparse.host import blocks_of, embed
from engine.train.network import Network

SMALLEST_SCALE = 1e-7


class Temper(nn.Module):
    """Multiplies queries by one scale, i.e. all pre-softmax scores of a block."""

    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(()))

    def forward(self, q: Tensor) -> Tensor:
        return q * self.scale


def tempered(backbone: nn.Module) -> nn.Module:
    """The ViT itself with a `Temper` where timm would normalise queries; tempered ones stay."""
    for block in blocks_of(cast(VisionTransformer, backbone)):
        if not isinstance(block.attn.q_norm, Temper):
            block.attn.q_norm = Temper()
    return backbone


@torch.no_grad()
def folded(backbone: nn.Module) -> nn.Module:
    """The plain ViT that equals a tempered one: the rows of q take the scale, the `Temper` goes."""
    plain = copy.deepcopy(backbone)
    for block in blocks_of(cast(VisionTransformer, plain)):
        queries = block.attn.qkv.out_features // 3
        for rows in (block.attn.qkv.weight, block.attn.qkv.bias):
            if rows is not None:
                rows[:queries] *= cast(Temper, block.attn.q_norm).scale
        block.attn.q_norm = nn.Identity()
    return plain


def features(vit: VisionTransformer, x: Tensor) -> Tensor:
    """Tokens after each block, flattened and of unit length: `(l, b, n d)`."""
    tokens, seen = embed(vit, x), list[Tensor]()
    for block in blocks_of(vit):
        tokens = block(tokens)
        seen.append(F.normalize(tokens.flatten(1).float(), dim=-1))
    return torch.stack(seen)


def read_scales(vit: VisionTransformer) -> Tensor:
    """The scales of a tempered ViT, `(l,)`."""
    return torch.stack([temper.scale for temper in _tempers(vit)]).detach()


@torch.no_grad()
def pull_scales(vit: VisionTransformer, goal: Tensor, share: float) -> None:
    """s <- (1 - share) s + share goal, for good."""
    for temper, value in zip(_tempers(vit), goal, strict=True):
        temper.scale.lerp_(value, share)


@contextmanager
def scaled(vit: VisionTransformer, scales: Tensor) -> Generator[None]:
    """Inside, the tempered ViT runs with `scales` `(l,)`, which may require a gradient."""
    tempers = _tempers(vit)
    before = [temper.scale for temper in tempers]
    try:
        for temper, scale in zip(tempers, scales, strict=True):
            temper.scale = scale
        yield
    finally:
        for temper, scale in zip(tempers, before, strict=True):
            temper.scale = scale


def _tempers(vit: VisionTransformer) -> list[Temper]:
    return [cast(Temper, block.attn.q_norm) for block in blocks_of(vit)]


@dataclass(frozen=True)
class Scaling:
    """Gradient ascent on one scale a block, away from the features at the current scales.

    distance(s') = mean over images of sum_l || f_l(s')/|f_l(s')| - f_l(s)/|f_l(s)| ||, f_l the
    tokens after block l; delta <- delta + rate g / max|g|; s' = clamp(s + delta, 1e-7, 1), from
    delta ~ N(0, spread^2). Source: AAS Algorithm 1, tgr_aas spec 3.1, 3.7; the printed distance,
    start and step are replaced as its table 3.2 (A2 to A10) resolves them.
    """

    steps: int = 10
    rate: float = 0.1
    spread: float = 0.1

    def ascend(self, net: Network, images: Tensor, generator: torch.Generator) -> Tensor:
        """Scales `(l,)` for this batch; those of the network are left as they were."""
        vit = cast(VisionTransformer, net.body)
        x, scales = net.normalise(images), read_scales(vit)
        with torch.no_grad():
            reference = features(vit, x)
        delta = self.spread * torch.randn(len(scales), generator=generator).to(scales.device)
        for _ in range(self.steps):
            moved = (scales + delta).clamp(SMALLEST_SCALE, 1).requires_grad_()
            with scaled(vit, moved):
                away = (features(vit, x) - reference).square().sum(-1)
                distance = (away + 1e-12).sqrt().sum(0).mean()
                (slope,) = torch.autograd.grad(distance, moved)
            delta = delta + self.rate * slope / slope.abs().max().clamp_min(1e-12)
        return (scales + delta).clamp(SMALLEST_SCALE, 1)
