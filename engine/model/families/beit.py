"""BEiT: a ViT whose scores carry a learnt bias for each relative position."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers.mlp import Mlp
from torch import Tensor, nn

from engine.core.errors import UnsupportedModel
from engine.model.attention import attend, heads_first
from engine.model.families.parts import Taps, linears
from engine.model.hooking import new_forward
from engine.model.sites import TRANSFORMER, Site
from engine.model.victim import BlockShape, Family, Tap


def explicit_attention(attn: Any, tap: Tap, index: int) -> Callable[..., Tensor]:
    """S = q k^T / sqrt(d) + bias, with taps on the projection, the scores and the map.

    timm applies the projection's weight without calling its module, so QKV and the projection's
    input are tapped here.
    """

    def forward(x: Tensor, shared_rel_pos_bias: Tensor | None = None) -> Tensor:
        if Site.LINEAR_IN in tap.need:
            x = tap(Site.LINEAR_IN, index, x, "qkv")
        bias = None
        if attn.q_bias is not None:
            bias = torch.cat((attn.q_bias, attn.k_bias, attn.v_bias))
        qkv = tap(Site.QKV, index, F.linear(x, attn.qkv.weight, bias))
        positions = None if shared_rel_pos_bias is None else shared_rel_pos_bias.unsqueeze(0)
        if attn.relative_position_bias_table is not None:
            own = attn._get_rel_pos_bias()
            positions = own if positions is None else own + positions
        return attn.proj(
            attend(tap, index, heads_first(qkv, attn.num_heads), attn.scale, positions)
        )

    return forward


def install(module: nn.Module, tap: Tap, stack: ExitStack) -> None:
    beit: Any = module
    for index, block in enumerate(beit.blocks):
        taps = Taps(tap, stack, index)
        taps.output(block.drop_path1, Site.ATTN_OUT)
        taps.output(block.drop_path2, Site.MLP_OUT)
        taps.output(block, Site.BLOCK_OUT)
        taps.inputs({slot: each for slot, each in linears(block).items() if slot != "qkv"})
        if tap.need & {Site.QKV, Site.SCORES, Site.ATTN, Site.LINEAR_IN}:
            stack.enter_context(new_forward(block.attn, explicit_attention(block.attn, tap, index)))
    Taps(tap, stack, len(beit.blocks) - 1).output(beit.norm, Site.FEATURE)


def blocks(module: nn.Module, size: int) -> tuple[BlockShape, ...]:
    del size
    beit: Any = module
    for block in beit.blocks:
        if type(block.mlp) is not Mlp:
            raise UnsupportedModel(
                f"Blocks of this BEiT have {type(block.mlp).__name__}.",
                "The BEiT adapter knows plain two-layer MLPs.",
            )
    prefix, grid = beit.num_prefix_tokens, beit.patch_embed.grid_size
    return tuple(BlockShape(b.attn.num_heads, beit.embed_dim, prefix, grid) for b in beit.blocks)


def attentions(module: nn.Module) -> list[nn.Module]:
    beit: Any = module
    return [block.attn for block in beit.blocks]


def lens(module: nn.Module, stream: Tensor) -> Tensor:
    beit: Any = module
    return beit.forward_head(beit.norm(stream))


FAMILY = Family("beit", TRANSFORMER | {Site.FEATURE}, install, lens, attentions)
