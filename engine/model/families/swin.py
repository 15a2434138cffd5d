"""Swin: attention inside windows, shifted in every second block, with a relative position bias."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from timm.models.swin_transformer import SwinTransformerBlock, WindowAttention
from torch import Tensor, nn

from engine.core.errors import UnsupportedModel
from engine.model.attention import attend, heads_first
from engine.model.families.parts import Taps, as_is, grid, linears
from engine.model.hooking import new_forward
from engine.model.sites import TRANSFORMER, Site
from engine.model.victim import BlockShape, Family, Tap


def explicit_attention(attn: Any, tap: Tap, index: int) -> Callable[..., Tensor]:
    """S = q k^T / sqrt(d) + bias + mask inside each window; windows are folded into the batch.

    Scores and map are (b w, h, n, n) with the w windows of a picture side by side, n tokens each.
    """

    def forward(x: Tensor, mask: Tensor | None = None) -> Tensor:
        qkv = heads_first(attn.qkv(x), attn.num_heads)
        bias = attn._get_rel_pos_bias()
        if mask is not None:
            bias = bias + mask.unsqueeze(1)
        return attn.proj(attend(tap, index, qkv, attn.scale, bias))

    return forward


def install(module: nn.Module, tap: Tap, stack: ExitStack) -> None:
    """QKV and the inputs of qkv and proj are per window; branches and stream per picture."""
    swin: Any = module
    for index, block in enumerate(_blocks(swin)):
        taps = Taps(tap, stack, index)
        taps.output(block.attn.qkv, Site.QKV)
        taps.output(block.drop_path1, Site.ATTN_OUT, grid)
        taps.output(block.drop_path2, Site.MLP_OUT, as_is)
        taps.output(block, Site.BLOCK_OUT, grid)
        taps.inputs(linears(block))
        if tap.need & {Site.SCORES, Site.ATTN}:
            stack.enter_context(new_forward(block.attn, explicit_attention(block.attn, tap, index)))
    Taps(tap, stack, len(_blocks(swin)) - 1, grid).output(swin.norm, Site.FEATURE)


def _blocks(module: nn.Module) -> list[Any]:
    swin: Any = module
    return [block for stage in swin.layers for block in stage.blocks]


def attentions(module: nn.Module) -> list[nn.Module]:
    return [block.attn for block in _blocks(module)]


def blocks(module: nn.Module, size: int) -> tuple[BlockShape, ...]:
    del size
    shapes: list[BlockShape] = []
    for block in _blocks(module):
        attn = block.attn
        if (type(block), type(attn)) != (SwinTransformerBlock, WindowAttention):
            raise UnsupportedModel(f"This Swin has blocks of kind {type(block).__name__}.")
        shape = BlockShape(
            attn.num_heads, attn.dim, 0, block.input_resolution, window=attn.window_size
        )
        shapes.append(shape)
    return tuple(shapes)


FAMILY = Family("swin", TRANSFORMER | {Site.FEATURE}, install, attentions=attentions)
