"""One adapter file per family of timm models; a dict from class to adapter picks it."""

from __future__ import annotations

from collections.abc import Callable

from timm.models.beit import Beit
from timm.models.cait import Cait
from timm.models.pit import PoolingVisionTransformer
from timm.models.resnet import ResNet
from timm.models.swin_transformer import SwinTransformer
from timm.models.visformer import Visformer
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from engine.core.errors import UnsupportedModel
from engine.model.families import beit, cait, pit, resnet, sparse, swin, visformer, vit
from engine.model.sparse import SparseViT
from engine.model.victim import BlockShape, Family

Adapter = tuple[Family, Callable[[nn.Module, int], tuple[BlockShape, ...]]]

PLAIN = Family("classifier", frozenset(), lambda module, tap, stack: None)
FAMILIES: dict[type[nn.Module], Adapter] = {
    VisionTransformer: (vit.FAMILY, vit.blocks),
    PoolingVisionTransformer: (pit.FAMILY, pit.blocks),
    Cait: (cait.FAMILY, cait.blocks),
    Visformer: (visformer.FAMILY, visformer.blocks),
    SwinTransformer: (swin.FAMILY, swin.blocks),
    Beit: (beit.FAMILY, beit.blocks),
    ResNet: (resnet.FAMILY, resnet.blocks),
}


def adapt(module: nn.Module, size: int = 224) -> tuple[Family, tuple[BlockShape, ...]]:
    """The adapter of a model that reads size x size pictures, and the geometry of its blocks.

    Any other classifier, and one of a known family with parts that its adapter does not know, is a
    victim without sites: a fair target, no source for attacks that look inside. Raises
    UnsupportedModel for what is no classifier of timm's.
    """
    if isinstance(module, SparseViT):
        return sparse.family(module), vit.blocks(module.backbone, size)
    for kind in type(module).__mro__:
        if kind in FAMILIES:
            family, blocks = FAMILIES[kind]
            try:
                return family, blocks(module, size)
            except UnsupportedModel:
                return PLAIN, ()
    if not hasattr(module, "get_classifier"):
        raise UnsupportedModel(f"{type(module).__name__} is not a timm classifier.")
    return PLAIN, ()
