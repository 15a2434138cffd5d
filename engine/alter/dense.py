"""The dense ViT under an alteration that has it drop tokens, and the victim that comes of it."""

from __future__ import annotations

from dataclasses import replace

from timm.models.vision_transformer import VisionTransformer

from engine.core.errors import UnsupportedModel
from engine.model.families import sparse
from engine.model.sparse import SparseViT, Sparsifier
from engine.model.victim import Victim


def sparsified(victim: Victim, sparsifier: Sparsifier) -> Victim:
    """The dense victim run by a sparsifier without weights of its own; raises UnsupportedModel."""
    host = victim.module
    if isinstance(host, SparseViT):
        raise UnsupportedModel(
            f"{victim.spec.name} drops tokens already, by {host.sparsifier.title}.",
            "Choose a plain ViT or DeiT.",
        )
    if not isinstance(host, VisionTransformer):
        raise UnsupportedModel(
            f"{victim.spec.name} cannot drop tokens.", "Choose a plain ViT or DeiT."
        )
    return run_by(victim, SparseViT(host, sparsifier).to(victim.device))


def run_by(victim: Victim, module: SparseViT) -> Victim:
    """The victim with that module, whose weights are the victim's own, and the module's sites."""
    family = sparse.family(module)
    return Victim(replace(victim.spec, sites=family.sites), module, family, victim.lock)
