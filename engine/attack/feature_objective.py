"""How far a picture's feature is from another's: what a feature-space attack maximises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from engine.attack.moment import Moment
from engine.core.shapes import PerExample
from engine.model.sites import Site
from engine.model.victim import Forward

Axis = Literal["channel", "token", "flat"]
Distance = Literal["cosine", "mse"]

FEATURE = frozenset({Site.FEATURE})


def cosine(
    a: Float[Tensor, "b m d"], b: Float[Tensor, "b m d"], axis: Axis = "channel"
) -> PerExample:
    """cos(a, b) per picture, with graph; m tokens of width d.

    - "channel": each token's two vectors of d numbers, then the mean over tokens: the sane reading.
    - "token": each channel's two vectors of m numbers, then the mean over channels: what is published,
      by CosineSimilarity's default dim=1 (spec B2).
    - "flat": one vector of m d numbers.
    """
    a, b = (x.to(torch.promote_types(x.dtype, torch.float32)) for x in (a, b))
    if axis == "flat":
        return F.cosine_similarity(a.flatten(1), b.flatten(1))
    return F.cosine_similarity(a, b, dim=2 if axis == "channel" else 1).mean(1)


def feature(out: Forward) -> Float[Tensor, "b m d"]:
    """f(x): what the head pools, in a pass that has seen Site.FEATURE."""
    (value,) = out.values(Site.FEATURE)
    return value


@dataclass(frozen=True)
class FeatureApart:
    """-cos(f(x), f(x0)), or mean (f(x) - f(x0))^2; both have slope 0 at x = x0, so start beside it."""

    axis: Axis = "channel"
    distance: Distance = "cosine"
    sites: frozenset[Site] = FEATURE
    wants_clean: bool = True

    def __call__(self, out: Forward, at: Moment) -> PerExample:
        assert at.clean is not None  # asked for above
        now, clean = feature(out), feature(at.clean)
        if self.distance == "mse":
            return (now - clean).square().mean((1, 2))
        return -cosine(now, clean, self.axis)
