"""From what a card says of a trained sparsifier to the network its weights fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from timm.models.vision_transformer import VisionTransformer
from torch import nn

from engine.core.errors import UnsupportedModel
from engine.model.sparse.adavit import AdaViT
from engine.model.sparse.avit import AViT
from engine.model.sparse.host import layout_of
from engine.model.sparse.sparse_vit import SparseViT, Sparsifier


def constants(sparsifier: Sparsifier) -> dict[str, Any]:
    """What a card tells of a trained sparsifier beyond its weights."""
    if isinstance(sparsifier, AViT):
        return {
            "kind": "avit",
            "gamma": float(sparsifier.gamma),
            "beta": float(sparsifier.beta),
            "tau": sparsifier.tau,
        }
    if isinstance(sparsifier, AdaViT):
        return {
            "kind": "adavit",
            "start": sparsifier.start,
            "temperature": sparsifier.temperature,
            "token_threshold": sparsifier.token_threshold,
            "threshold": sparsifier.threshold,
            "head_masks_mlp": sparsifier.head_masks_mlp,
        }
    raise UnsupportedModel(f"{type(sparsifier).__name__} has nothing trained to tell of.")


def trained_sparsely(backbone: nn.Module, told: Mapping[str, Any]) -> SparseViT:
    """The network of `constants`, with fresh weights."""
    settings = dict(told)
    kind = settings.pop("kind")
    host = cast(VisionTransformer, backbone)
    if kind == "avit":
        return SparseViT(host, AViT(**settings))
    if kind == "adavit":
        return SparseViT(host, AdaViT(layout_of(host), **settings))
    raise UnsupportedModel(f"There is no sparsifier \u201c{kind}\u201d.")
