"""PiT: ViT blocks in three stages, with convolutional pooling of the grid between them."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from torch import nn

from engine.model.families import vit
from engine.model.families.parts import Taps
from engine.model.sites import TRANSFORMER, Site
from engine.model.victim import BlockShape, Family, Tap


def install(module: nn.Module, tap: Tap, stack: ExitStack) -> None:
    """The feature is the class tokens alone: neither the final norm nor the head reads patches."""
    pit: Any = module
    for index, block in enumerate(_blocks(pit)):
        vit.install_block(block, tap, stack, index)
    Taps(tap, stack, len(_blocks(pit)) - 1).output(pit.norm, Site.FEATURE)


def _blocks(module: nn.Module) -> list[Any]:
    pit: Any = module
    return [block for stage in pit.transformers for block in stage.blocks]


def attentions(module: nn.Module) -> list[nn.Module]:
    return [block.attn for block in _blocks(module)]


def blocks(module: nn.Module, size: int) -> tuple[BlockShape, ...]:
    """Blocks in running order; stages differ in grid, width and heads."""
    del size
    pit: Any = module
    shapes: list[BlockShape] = []
    rows, columns = pit.patch_embed.grid_size
    for stage in pit.transformers:
        if stage.pool is not None:
            rows, columns = (_pooled(side, stage.pool.conv) for side in (rows, columns))
        for block in stage.blocks:
            vit.check_block(block)
            heads, width = block.attn.num_heads, block.attn.proj.out_features
            shapes.append(BlockShape(heads, width, pit.num_tokens, (rows, columns)))
    return tuple(shapes)


def _pooled(side: int, conv: nn.Conv2d) -> int:
    """Side of the grid after a pooling convolution."""
    padding = conv.padding[0]
    assert isinstance(padding, int)  # timm gives numbers, never "same"
    return (side + 2 * padding - conv.kernel_size[0]) // conv.stride[0] + 1


FAMILY = Family("pit", TRANSFORMER | {Site.FEATURE}, install, attentions=attentions)
