"""ViT, DeiT (plain, distilled, III), registers: timm's VisionTransformer with its plain blocks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from timm.layers.attention import Attention
from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from engine.core.errors import UnsupportedModel
from engine.model.attention import attend, bias_of, heads_first
from engine.model.families.parts import Taps, linears
from engine.model.hooking import new_forward
from engine.model.sites import TRANSFORMER, Site
from engine.model.victim import BlockShape, Family, Tap


def explicit_attention(attn: Attention, tap: Tap, index: int) -> Callable[..., Tensor]:
    """timm's unfused attention with taps on scores and map; equal to the fused one within 1e-5.

    S = q k^T / sqrt(d), A = softmax(S), out = proj(A v).
    """

    def forward(x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False) -> Tensor:
        if is_causal or (attn_mask is not None and attn_mask.dtype is not torch.bool):
            raise UnsupportedModel("This mask of attention is not known to the ViT adapter.")
        qkv = heads_first(attn.qkv(x), attn.num_heads)
        q, k, v = qkv.unbind(0)
        normed = attn.q_norm(q), attn.k_norm(k)
        if normed[0] is not q or normed[1] is not k:
            qkv = torch.stack((*normed, v))
        bias = None if attn_mask is None else bias_of(attn_mask, qkv)
        out = attend(tap, index, qkv, attn.scale, bias)
        return attn.proj(attn.norm(out))

    return forward


def install_block(block: Any, tap: Tap, stack: ExitStack, index: int) -> None:
    """Tap one of timm's plain pre-norm blocks; branches are tapped after their LayerScale."""
    taps = Taps(tap, stack, index)
    taps.output(block.attn.qkv, Site.QKV)
    taps.output(block.drop_path1, Site.ATTN_OUT)
    taps.output(block.drop_path2, Site.MLP_OUT)
    taps.output(block, Site.BLOCK_OUT)
    taps.inputs(linears(block))
    if tap.need & {Site.SCORES, Site.ATTN}:
        stack.enter_context(new_forward(block.attn, explicit_attention(block.attn, tap, index)))


def check_block(block: Any) -> None:
    """Raises UnsupportedModel unless the block is timm's plain Block with plain Attention."""
    attn = getattr(block, "attn", None)
    if type(block) is not Block or type(attn) is not Attention:
        raise UnsupportedModel(
            f"Blocks of this model are {type(block).__name__} with {type(attn).__name__}.",
            "The ViT adapter knows timm's plain Block with plain Attention.",
        )
    if attn.gate is not None:
        raise UnsupportedModel("Gated attention is not known to the ViT adapter.")


def install(module: nn.Module, tap: Tap, stack: ExitStack) -> None:
    vit: Any = module
    for index, block in enumerate(vit.blocks):
        install_block(block, tap, stack, index)
    install_feature(vit, tap, stack)


def install_feature(vit: Any, tap: Tap, stack: ExitStack) -> None:
    """Tap the final norm: the tokens that a head may read, and patches, without what stands between."""
    read = int(vit.has_class_token) + isinstance(vit, VisionTransformerDistilled)
    layout = partial(_without, slice(read, vit.num_prefix_tokens))
    Taps(tap, stack, len(vit.blocks) - 1, layout).output(vit.norm, Site.FEATURE)


def _without(
    left_out: slice, tap: Tap, site: Site, block: int, x: Tensor, slot: str = ""
) -> Tensor:
    first, after = left_out.start, left_out.stop
    if first == after:
        return tap(site, block, x, slot)
    shown = tap(site, block, torch.cat((x[:, :first], x[:, after:]), 1), slot)
    return torch.cat((shown[:, :first], x[:, left_out], shown[:, first:]), 1)


def blocks(module: nn.Module, size: int) -> tuple[BlockShape, ...]:
    del size
    vit: Any = module
    for block in vit.blocks:
        check_block(block)
    prefix, grid = vit.num_prefix_tokens, vit.patch_embed.grid_size
    return tuple(BlockShape(b.attn.num_heads, vit.embed_dim, prefix, grid) for b in vit.blocks)


def attentions(module: nn.Module) -> list[nn.Module]:
    vit: Any = module
    return [block.attn for block in vit.blocks]


def lens(module: nn.Module, stream: Tensor) -> Tensor:
    vit: Any = module
    return vit.forward_head(vit.norm(stream))


FAMILY = Family("vit", TRANSFORMER | {Site.FEATURE}, install, lens, attentions)
