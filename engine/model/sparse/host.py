"""The one place that knows timm: what a host must look like, and its parts under typed names."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Protocol, cast

import torch
from timm.layers.attention import Attention
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from engine.core.errors import UnsupportedModel
from engine.model.sparse.trace import Layout


class Module(Protocol):
    """A module of one tensor."""

    def __call__(self, x: Tensor, /) -> Tensor: ...

    def modules(self) -> Iterable[nn.Module]: ...


class HostLinear(Module, Protocol):
    """An `nn.Linear`, whose bias may be missing."""

    weight: Tensor
    bias: Tensor | None
    out_features: int


class HostAttention(Module, Protocol):
    """timm's `Attention`, reduced to what is read."""

    num_heads: int
    head_dim: int
    attn_dim: int
    scale: float
    qkv: HostLinear
    q_norm: Module
    k_norm: Module
    attn_drop: nn.Dropout
    proj: HostLinear
    proj_drop: Module
    training: bool


class HostBlock(Protocol):
    """timm's `Block`: x + ls1(attn(norm1 x)), then x + ls2(mlp(norm2 x))."""

    norm1: Module
    attn: HostAttention
    ls1: Module
    drop_path1: Module
    norm2: Module
    mlp: Module
    ls2: Module
    drop_path2: Module

    def __call__(self, x: Tensor, /, attn_mask: Tensor | None = None) -> Tensor: ...


def layout_of(backbone: nn.Module) -> Layout:
    """Measure a host, or raise `UnsupportedModel` naming the part that does not fit.

    Any depth, width, stem, LayerScale, qk_norm and number of prefix tokens fits; the class token
    must be token 0 and the head must read prefix tokens only, because patches disappear on the way.
    """
    if not isinstance(backbone, VisionTransformer):
        raise _unsupported(f"is a {type(backbone).__name__}, not a VisionTransformer")
    if not backbone.has_class_token or backbone.global_pool != "token":
        raise _unsupported("classifies by pooling patches, not by a class token")
    if backbone.dynamic_img_size or not isinstance(backbone.patch_drop, nn.Identity):
        raise _unsupported("has no fixed set of tokens (dynamic image size or patch dropout)")
    for block in cast(nn.Sequential, backbone.blocks):
        _check_block(block)
    blocks = blocks_of(backbone)
    first = blocks[0]
    return Layout(
        tokens=backbone.patch_embed.num_patches + backbone.num_prefix_tokens,
        prefix=backbone.num_prefix_tokens,
        width=backbone.embed_dim,
        depth=len(blocks),
        heads=first.attn.num_heads,
        head_dim=first.attn.head_dim,
        mlp=_linear_macs(first.mlp),
        embed=_embed_macs(backbone),
        head=sum(_linear_macs(part) for name, part in backbone.named_children() if "head" in name),
    )


def blocks_of(backbone: VisionTransformer) -> tuple[HostBlock, ...]:
    """The blocks of a host that `layout_of` accepted."""
    return tuple(cast(HostBlock, block) for block in cast(nn.Sequential, backbone.blocks))


def embed(backbone: VisionTransformer, x: Tensor) -> Tensor:
    """Normalised images (b, 3, y, x) -> tokens (b, n, D), positions added, before block 0."""
    x = backbone.patch_embed(x)
    x = backbone._pos_embed(x)  # pyright: ignore[reportPrivateUsage]  # timm has no public one
    return backbone.norm_pre(x)


def classify(backbone: VisionTransformer, tokens: Tensor) -> Tensor:
    """Tokens whose first k rows are the prefix (b, >=k, D) -> logits."""
    return backbone.forward_head(backbone.norm(tokens))


def split_heads(attn: HostAttention, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Normalised tokens (b, n, D) -> q, k, v, each (b, h, n, d); q and k normalised, not scaled."""
    b, n, _ = x.shape
    qkv = attn.qkv(x).reshape(b, n, 3, attn.num_heads, attn.head_dim)
    q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
    return attn.q_norm(q), attn.k_norm(k), v


def join_heads(attn: HostAttention, y: Tensor) -> Tensor:
    """Head outputs (b, h, n, d) -> tokens (b, n, D) by the output projection."""
    return attn.proj_drop(attn.proj(y.transpose(1, 2).flatten(2)))


def _check_block(block: nn.Module) -> None:
    if type(block) is not Block:
        raise _unsupported(f"has blocks of type {type(block).__name__}")
    attn = block.attn
    if type(attn) is not Attention:
        raise _unsupported(f"has attention of type {type(attn).__name__}")
    if attn.gate is not None or not isinstance(attn.norm, nn.Identity):
        raise _unsupported("gates or normalises the output of attention")


def _unsupported(why: str) -> UnsupportedModel:
    return UnsupportedModel(
        f"Tokens of this model cannot be sparsified: it {why}.",
        "Choose a plain ViT or DeiT with a class token.",
    )


def _linear_macs(module: Module) -> int:
    """Entries of its matrices, those of int8 layers, which are buffers, included."""
    weights = (getattr(part, "weight", None) for part in module.modules())
    return sum(w.numel() for w in weights if isinstance(w, Tensor) and w.ndim == 2)


def _embed_macs(backbone: VisionTransformer) -> int:
    """Counted on a copy without storage: any stem, no arithmetic, no batch statistics touched."""
    stem = copy.deepcopy(backbone.patch_embed).to("meta").eval()
    dtype = next(stem.parameters()).dtype
    height, width = cast(tuple[int, int], backbone.patch_embed.img_size)
    image = torch.empty(1, backbone.in_chans, height, width, device="meta", dtype=dtype)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        stem(image)
    return counter.get_total_flops() // 2
