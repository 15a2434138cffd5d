"""Victims of the three mechanisms that drop some tokens in some blocks, and what an attack asks of each."""

from __future__ import annotations

from typing import cast

import torch
from timm.models.vision_transformer import VisionTransformer

from engine.attack.sparse_objective import AllOn, RunOn, UniformScores
from engine.core.streams import Streams
from engine.model.sparse import ATS, AdaViT, AViT, SparseViT, Sparsifier, layout_of
from engine.model.victim import Victim
from tests.tiny import victim, wrap

KINDS = ("ats", "avit", "adavit")


def sparse(kind: str) -> Victim:
    """A float64 victim; that it drops some tokens is checked where it matters."""
    host = cast(VisionTransformer, victim("vit").module)
    made: dict[str, Sparsifier] = {
        "ats": ATS(),
        "avit": AViT(2.0, -1.0, tau=0.2),
        "adavit": AdaViT(layout_of(host), temperature=1.0),
    }
    gen = Streams(0).at("deciders")
    with torch.no_grad():
        for weight in made["adavit"].parameters():
            weight.copy_(0.5 * torch.randn(weight.shape, generator=gen))
    return wrap(SparseViT(host, made[kind]), kind)


PREFIX = (1, 1, 1)
LOSSES: dict[str, UniformScores | RunOn | AllOn] = {
    "ats": UniformScores(PREFIX),
    "avit": RunOn(PREFIX),
    "adavit": AllOn(),
}
"""What DeSparsify asks of each: the cost goes up with it."""
