"""One factor a block on the pre-softmax scores as model state: put there, moved, folded away."""

from __future__ import annotations

import copy
from typing import cast

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from engine.model.sparse.host import HostLinear, blocks_of


class Temper(nn.Module):
    """Multiplies queries by one scale, i.e. all pre-softmax scores of a block."""

    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(()))

    def forward(self, q: Tensor) -> Tensor:
        return q * self.scale


class Still(nn.Module):
    """Queries or keys as they are, through which nothing is learned."""

    def forward(self, x: Tensor) -> Tensor:
        return x.detach()


def tempered(backbone: nn.Module) -> nn.Module:
    """The ViT itself with a `Temper` where timm would normalise queries; tempered ones stay."""
    for block in blocks_of(cast(VisionTransformer, backbone)):
        if not isinstance(block.attn.q_norm, Temper):
            block.attn.q_norm = Temper()
    return backbone


def untempered(backbone: nn.Module) -> nn.Module:
    """The ViT itself without what was put on its queries and keys, as though all scales were 1."""
    for block in blocks_of(cast(VisionTransformer, backbone)):
        block.attn.q_norm, block.attn.k_norm = nn.Identity(), nn.Identity()
    return backbone


def folded(backbone: nn.Module) -> nn.Module:
    """The plain ViT that equals a tempered one: the rows of q take the scale, the `Temper` goes."""
    plain = copy.deepcopy(backbone)
    for block in blocks_of(cast(VisionTransformer, plain)):
        multiply_queries(block.attn.qkv, cast(Temper, block.attn.q_norm).scale)
    return untempered(plain)


def saturated(backbone: nn.Module, c: float) -> nn.Module:
    """The ViT itself, its scores times `c` in the rows of q; no gradient passes through them."""
    for block in blocks_of(cast(VisionTransformer, backbone)):
        multiply_queries(block.attn.qkv, c)
        block.attn.q_norm, block.attn.k_norm = Still(), Still()
    return backbone


@torch.no_grad()
def multiply_queries(qkv: HostLinear, factor: float | Tensor) -> None:
    """The rows of q, weights and bias, times one factor: for good, in the layer itself."""
    queries = qkv.out_features // 3
    for rows in (qkv.weight, qkv.bias):
        if rows is not None:
            rows[:queries] *= factor


def read_scales(vit: VisionTransformer) -> Tensor:
    """The scales of a tempered ViT, `(l,)`."""
    return torch.stack([temper.scale for temper in _tempers(vit)]).detach()


@torch.no_grad()
def pull_scales(vit: VisionTransformer, goal: Tensor, share: float) -> None:
    """s <- (1 - share) s + share goal, for good."""
    for temper, value in zip(_tempers(vit), goal, strict=True):
        temper.scale.lerp_(value, share)


def _tempers(vit: VisionTransformer) -> list[Temper]:
    return [cast(Temper, block.attn.q_norm) for block in blocks_of(vit)]
