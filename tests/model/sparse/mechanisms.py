"""Victims of the three mechanisms that drop some tokens in some blocks, and what an attack asks of each.

The losses are DeSparsify's (Yehezkel et al., NeurIPS 2024, eq. 5, 6 and 10; spec 4.4), as an
objective would have them: the cost goes up as they fall, so an attack maximises minus them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from engine.attack.moment import Moment
from engine.core.streams import Streams
from engine.model.sites import Site
from engine.model.sparse import ATS, AdaViT, AViT, SparseViT, Sparsifier, layout_of
from engine.model.victim import Forward, Victim
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


@dataclass(frozen=True)
class Uniform:
    """ATS, eq. 5: mean over blocks of KL(U || S) = -log n - 1/n sum_j log S_j, n patches that enter."""

    sites: frozenset[Site] = frozenset({Site.SIGNIFICANCE})
    wants_clean: bool = False

    def __call__(self, out: Forward, at: Moment) -> Tensor:
        del at
        return -torch.stack([self.apart(s) for s in out.values(Site.SIGNIFICANCE)]).mean(0)

    def apart(self, s: Tensor) -> Tensor:
        enters = s > 0
        n = enters.sum(1)
        return -n.log() - s.where(enters, 1).log().sum(1) / n


@dataclass(frozen=True)
class Running:
    """A-ViT, eq. 10: mean over patches of sum_n 1[token runs in block n] (sum_(l <= n) h^l)^2 / L."""

    sites: frozenset[Site] = frozenset({Site.HALTING, Site.KEEP})
    wants_clean: bool = False

    def __call__(self, out: Forward, at: Moment) -> Tensor:
        del at
        h = torch.stack(out.values(Site.HALTING))
        kept = torch.stack(out.values(Site.KEEP)).detach()
        runs = torch.cat((torch.ones_like(kept[:1]), kept))
        return -(runs * h.cumsum(0).square()).mean(0)[:, 1:].mean(1)


@dataclass(frozen=True)
class AllOn:
    """AdaViT, eq. 6: squared distance of every decision from 1; heads count where MSA runs."""

    sites: frozenset[Site] = frozenset({Site.DECISION})
    wants_clean: bool = False

    def __call__(self, out: Forward, at: Moment) -> Tensor:
        del at
        tokens, heads, sublayers = (
            torch.stack(out.values(Site.DECISION, f"{kind}.hard"))
            for kind in ("tokens", "heads", "sublayers")
        )
        off = [(each - 1).square().mean(2) for each in (sublayers, heads, tokens)]
        msa = sublayers[..., 0].detach() == 1
        return -(off[0] + msa * off[1] + off[2]).mean(0)


LOSSES = {"ats": Uniform(), "avit": Running(), "adavit": AllOn()}
