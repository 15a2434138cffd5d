"""Visformer: attention over feature maps, with 1x1 convolutions as its linear layers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from timm.models.visformer import Attention
from torch import Tensor, nn

from engine.model.attention import attend
from engine.model.families.parts import Taps, planes
from engine.model.hooking import new_forward
from engine.model.sites import TRANSFORMER, Site
from engine.model.victim import BlockShape, Family, Tap


def explicit_attention(attn: Attention, tap: Tap, index: int) -> Callable[[Tensor], Tensor]:
    """S = q k^T / sqrt(d) over all positions of a feature map (b, c, y, x)."""

    def forward(x: Tensor) -> Tensor:
        b, _, rows, columns = x.shape
        qkv = attn.qkv(x).reshape(b, 3, attn.num_heads, attn.head_dim, -1)
        out = attend(tap, index, qkv.permute(1, 0, 2, 4, 3).contiguous(), attn.scale)
        return attn.proj(out.transpose(1, 2).reshape(b, -1, rows, columns))

    return forward


def install(module: nn.Module, tap: Tap, stack: ExitStack) -> None:
    """Blocks with attention, in running order; feature maps are shown as tokens (b, y x, c).

    LINEAR_IN has the slots of a ViT: "qkv", "proj", and "fc1", "fc2" for the MLP's first and last
    convolution. The published TGR hooks really act on "qkv" and "fc2" (spec 1.3).
    """
    visformer: Any = module
    for index, block in enumerate(_attentive(visformer)):
        taps = Taps(tap, stack, index, planes)
        taps.output(block.attn.qkv, Site.QKV)
        taps.output(block.attn, Site.ATTN_OUT)
        taps.output(block.mlp, Site.MLP_OUT)
        taps.output(block, Site.BLOCK_OUT)
        attn, mlp = block.attn, block.mlp
        taps.inputs({"qkv": attn.qkv, "proj": attn.proj, "fc1": mlp.conv1, "fc2": mlp.conv3})
        if tap.need & {Site.SCORES, Site.ATTN}:
            stack.enter_context(new_forward(attn, explicit_attention(attn, tap, index)))
    Taps(tap, stack, len(_attentive(visformer)) - 1, planes).output(visformer.norm, Site.FEATURE)


def _attentive(module: nn.Module) -> list[Any]:
    """The blocks that have attention; the first stage is convolutional in the published models."""
    visformer: Any = module
    stages = (visformer.stage1, visformer.stage2, visformer.stage3)
    return [block for stage in stages for block in stage if block.attn is not None]


def attentions(module: nn.Module) -> list[nn.Module]:
    return [block.attn for block in _attentive(module)]


def blocks(module: nn.Module, size: int) -> tuple[BlockShape, ...]:
    del size
    visformer: Any = module
    rows, columns = visformer.img_size
    shapes: list[BlockShape] = []
    for stage, embeds in (
        (visformer.stage1, (visformer.stem, visformer.patch_embed1)),
        (visformer.stage2, (visformer.patch_embed2,)),
        (visformer.stage3, (visformer.patch_embed3,)),
    ):
        for embed in embeds:
            stride = 1 if embed is None else _stride(embed)
            rows, columns = -(-rows // stride), -(-columns // stride)
        shapes += [
            BlockShape(block.attn.num_heads, block.attn.dim, 0, (rows, columns))
            for block in stage
            if block.attn is not None
        ]
    return tuple(shapes)


def _stride(embed: nn.Module) -> int:
    conv = next(part for part in embed.modules() if isinstance(part, nn.Conv2d))
    return conv.stride[0]


FAMILY = Family("visformer", TRANSFORMER | {Site.FEATURE}, install, attentions=attentions)
