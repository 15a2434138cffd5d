"""A sparsified victim: same weights, fewer tokens, and KEEP."""

from __future__ import annotations

from dataclasses import replace

from timm.models.vision_transformer import VisionTransformer

from engine.core.errors import UnsupportedModel
from engine.model.families import sparse
from engine.model.sparse import ATS, SparseViT, Sparsifier
from engine.model.victim import Victim


def sparsify(victim: Victim, sparsifier: Sparsifier | None = None) -> Victim:
    """The victim run by a sparsifier (default: ATS, which needs no training); weights are shared.

    Its site KEEP (b, n) is 1 where a sparsifying block keeps the token. Raises UnsupportedModel
    for hosts that cannot lose tokens.
    """
    host = victim.module
    if not isinstance(host, VisionTransformer):
        raise UnsupportedModel(
            f"{victim.spec.name} cannot drop tokens.", "Choose a plain ViT or DeiT."
        )
    module = SparseViT(host, sparsifier or ATS()).to(victim.device)
    family = sparse.family(module)
    return Victim(replace(victim.spec, sites=family.sites), module, family, victim.lock)
