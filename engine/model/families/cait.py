"""CaiT: talking-head blocks over patches, then class-attention blocks over one class token."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from timm.models.cait import (
    ClassAttn,
    LayerScaleBlock,
    LayerScaleBlockClassAttn,
    TalkingHeadAttn,
)
from torch import Tensor, nn

from engine.core.errors import UnsupportedModel
from engine.model.attention import heads_first, products, read_values
from engine.model.families.parts import Taps, linears
from engine.model.hooking import new_forward
from engine.model.sites import TRANSFORMER, Site
from engine.model.victim import BlockShape, Family, Tap


def talking_heads(attn: TalkingHeadAttn, tap: Tap, index: int) -> Callable[[Tensor], Tensor]:
    """S = mix_l(q k^T / sqrt(d)), A = mix_w(softmax(S)), out = proj(A v).

    The mixes act over heads, so a row of the map A need not sum to 1 (spec 1.3).
    """

    def forward(x: Tensor) -> Tensor:
        b, n, _ = x.shape
        q, k, v = heads_first(attn.qkv(x), attn.num_heads).unbind(0)
        scores = _over_heads(attn.proj_l, products(q * attn.scale, k.transpose(-2, -1)))
        a = _over_heads(attn.proj_w, tap(Site.SCORES, index, scores).softmax(-1))
        out = tap(Site.ATTN, index, a) @ v
        return attn.proj(out.transpose(1, 2).reshape(b, n, -1))

    return forward


def _over_heads(mix: nn.Module, maps: Tensor) -> Tensor:
    return mix(maps.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def class_attention(attn: ClassAttn, tap: Tap, index: int) -> Callable[[Tensor], Tensor]:
    """The class token's attention: one query, scores and map (b, h, 1, n).

    q, k and v come from three layers: QKV and LINEAR_IN have slots "q" (b, 1, d), "k" and "v"
    (b, n, d).
    """

    def forward(x: Tensor) -> Tensor:
        def project(slot: str, x: Tensor) -> Tensor:
            # a view of its own: a gradient through this layer, not through the others' input
            seen = tap(Site.LINEAR_IN, index, x.view_as(x), slot)
            out = tap(Site.QKV, index, getattr(attn, slot)(seen), slot)
            return out.unflatten(2, (attn.num_heads, -1)).transpose(1, 2)

        q, k, v = project("q", x[:, :1]), project("k", x), project("v", x)
        scores = products(q * attn.scale, k.transpose(-2, -1))
        return attn.proj(read_values(tap, index, scores, v).transpose(1, 2).flatten(2))

    return forward


def install(module: nn.Module, tap: Tap, stack: ExitStack) -> None:
    """Blocks over patches come first, class-attention blocks after them."""
    cait: Any = module
    for index, block in enumerate(cait.blocks):
        taps = Taps(tap, stack, index)
        taps.output(block.attn.qkv, Site.QKV)
        taps.inputs(linears(block))
        if tap.need & {Site.SCORES, Site.ATTN}:
            stack.enter_context(new_forward(block.attn, talking_heads(block.attn, tap, index)))
        _residuals(block, taps, _patch_block)
    for index, block in enumerate(cait.blocks_token_only, len(cait.blocks)):
        taps = Taps(tap, stack, index)
        taps.inputs({"proj": block.attn.proj, "fc1": block.mlp.fc1, "fc2": block.mlp.fc2})
        if tap.need & {Site.QKV, Site.SCORES, Site.ATTN, Site.LINEAR_IN}:
            stack.enter_context(new_forward(block.attn, class_attention(block.attn, tap, index)))
        _residuals(block, taps, _class_block)
    last = len(cait.blocks) + len(cait.blocks_token_only) - 1
    Taps(tap, stack, last).output(cait.norm, Site.FEATURE)


def _residuals(block: Any, taps: Taps, rewrite: Callable[..., Callable[..., Tensor]]) -> None:
    """Tap branches after their LayerScale, which is no module here, and the block's output."""
    if taps.tap.need & {Site.ATTN_OUT, Site.MLP_OUT}:
        taps.stack.enter_context(new_forward(block, rewrite(block, taps.tap, taps.block)))
    taps.output(block, Site.BLOCK_OUT)


def _patch_block(block: Any, tap: Tap, index: int) -> Callable[[Tensor], Tensor]:
    def forward(x: Tensor) -> Tensor:
        x = x + tap(Site.ATTN_OUT, index, block.gamma_1 * block.attn(block.norm1(x)))
        return x + tap(Site.MLP_OUT, index, block.gamma_2 * block.mlp(block.norm2(x)))

    return forward


def _class_block(block: Any, tap: Tap, index: int) -> Callable[[Tensor, Tensor], Tensor]:
    def forward(x: Tensor, x_cls: Tensor) -> Tensor:
        both = block.norm1(torch.cat((x_cls, x), 1))
        x_cls = x_cls + tap(Site.ATTN_OUT, index, block.gamma_1 * block.attn(both))
        return x_cls + tap(Site.MLP_OUT, index, block.gamma_2 * block.mlp(block.norm2(x_cls)))

    return forward


def blocks(module: nn.Module, size: int) -> tuple[BlockShape, ...]:
    del size
    cait: Any = module
    known = (
        (cait.blocks, LayerScaleBlock, TalkingHeadAttn),
        (cait.blocks_token_only, LayerScaleBlockClassAttn, ClassAttn),
    )
    for group, kind, attention in known:
        for block in group:
            if type(block) is not kind or type(block.attn) is not attention:
                raise UnsupportedModel(f"This CaiT has blocks of kind {type(block).__name__}.")
    width, grid = cait.embed_dim, cait.patch_embed.grid_size
    patches = (BlockShape(b.attn.num_heads, width, 0, grid) for b in cait.blocks)
    tokens = (
        BlockShape(b.attn.num_heads, width, 1, grid, queries=1) for b in cait.blocks_token_only
    )
    return (*patches, *tokens)


def attentions(module: nn.Module) -> list[nn.Module]:
    cait: Any = module
    return [block.attn for block in (*cait.blocks, *cait.blocks_token_only)]


def lens(module: nn.Module, stream: Tensor) -> Tensor:
    """Patches (b, n, d) are read through the class-attention blocks, a class token (b, 1, d) not."""
    cait: Any = module
    if stream.shape[1] > 1:
        stream = cait.forward_cls(stream)
    return cait.forward_head(cait.norm(stream))


FAMILY = Family("cait", TRANSFORMER | {Site.FEATURE}, install, lens, attentions)
