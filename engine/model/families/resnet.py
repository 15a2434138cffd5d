"""ResNets: the CNN side of TGR, with the residual branch in the place of the MLP branch."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from timm.models.resnet import BasicBlock, Bottleneck
from torch import nn

from engine.core.errors import UnsupportedModel
from engine.model.families.parts import Taps, planes
from engine.model.sites import Site
from engine.model.victim import BlockShape, Family, Tap


def install(module: nn.Module, tap: Tap, stack: ExitStack) -> None:
    """MLP_OUT is the residual branch before the sum, BLOCK_OUT the block's output.

    Feature maps are shown as tokens (b, y x, c), so that a token rule is a spatial rule. FEATURE is the
    map that the head pools: there is no norm after it.
    """
    chain = [block for stage in _stages(module) for block in stage]
    for index, block in enumerate(chain):
        taps = Taps(tap, stack, index, planes)
        taps.output(_branch_end(block), Site.MLP_OUT)
        taps.output(block, Site.BLOCK_OUT)
    Taps(tap, stack, len(chain) - 1, planes).output(_stages(module)[-1], Site.FEATURE)


def _stages(module: nn.Module) -> tuple[Any, ...]:
    resnet: Any = module
    return (resnet.layer1, resnet.layer2, resnet.layer3, resnet.layer4)


def _branch_end(block: Any) -> nn.Module:
    """The module whose output is the branch: the last norm, or what comes after it."""
    last = block.bn3 if type(block) is Bottleneck else block.bn2
    return block.drop_path or block.se or last


def blocks(module: nn.Module, size: int) -> tuple[BlockShape, ...]:
    """No heads and no prefix tokens; a CNN's grids follow from the side of its input."""
    resnet: Any = module
    shapes: list[BlockShape] = []
    for stage, info in zip(_stages(module), resnet.feature_info[1:], strict=True):
        side = -(-size // info["reduction"])
        for block in stage:
            if type(block) not in (BasicBlock, Bottleneck):
                raise UnsupportedModel(f"This ResNet has blocks of kind {type(block).__name__}.")
            shapes.append(BlockShape(0, info["num_chs"], 0, (side, side)))
    return tuple(shapes)


FAMILY = Family("resnet", frozenset({Site.MLP_OUT, Site.BLOCK_OUT, Site.FEATURE}), install)
