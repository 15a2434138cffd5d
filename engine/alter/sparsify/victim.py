"""A sparsified victim: same weights, same sites, and KEEP."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from engine.alter.sparsify.ats import ATS
from engine.alter.sparsify.sparse_vit import SparseViT, Sparsifier
from engine.core.errors import UnsupportedModel
from engine.model.hooking import new_forward
from engine.model.sites import Site
from engine.model.victim import Family, Tap, Victim


def sparsify(victim: Victim, sparsifier: Sparsifier | None = None) -> Victim:
    """The victim run by a sparsifier (default: ATS, which needs no training); weights are shared.

    The new victim has one site, KEEP (b, n): 1 where a sparsifying block keeps the token. Raises
    UnsupportedModel for hosts that cannot lose tokens.
    """
    host = victim.module
    if not isinstance(host, VisionTransformer):
        raise UnsupportedModel(
            f"{victim.spec.name} cannot drop tokens.", "Choose a plain ViT or DeiT."
        )
    module = SparseViT(host, sparsifier or ATS())
    spec = replace(victim.spec, sites=frozenset({Site.KEEP}))
    return Victim(
        spec, module.to(victim.device), Family("sparse", spec.sites, _install), victim.lock
    )


def _install(module: nn.Module, tap: Tap, stack: ExitStack) -> None:
    if not isinstance(module, SparseViT):
        raise UnsupportedModel(f"{type(module).__name__} is not sparsified.")

    def forward(x: Tensor) -> Tensor:
        logits, trace = module.trace(x)
        for block in trace.sparse:
            tap(Site.KEEP, block, trace.keep[block].to(logits.dtype))
        return logits

    stack.enter_context(new_forward(module, forward))
