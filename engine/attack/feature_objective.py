"""How far a picture's feature is from another's: what a feature-space attack maximises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from engine.attack.moment import Moment
from engine.core.errors import UnsupportedModel
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

    Raises UnsupportedModel for "token" where m is 1 (PiT).
    """
    a, b = _wide(a), _wide(b)
    if axis == "token" and a.shape[1] == 1:
        raise UnsupportedModel(
            "The feature of this model is a single token: over one token there is no cosine.",
            "Take the axis channel or flat.",
        )
    if axis == "flat":
        return F.cosine_similarity(a.flatten(1), b.flatten(1))
    return F.cosine_similarity(a, b, dim=2 if axis == "channel" else 1).mean(1)


def feature(out: Forward) -> Float[Tensor, "b m d"]:
    """f(x): what the head of a model pools, in a pass that has seen Site.FEATURE."""
    (value,) = out.values(Site.FEATURE)
    return value


def similarity(now: Forward, clean: Forward, axis: Axis = "channel") -> PerExample:
    """cos(f(x), f(x0)) of two passes; of an ensemble the mean over its members."""
    return _over_members(now, clean, lambda a, b: cosine(a, b, axis))


@dataclass(frozen=True)
class FeatureApart:
    """-cos(f(x), f(x0)), or mean (f(x) - f(x0))^2; both have slope 0 at x = x0, so start beside it."""

    axis: Axis = "channel"
    distance: Distance = "cosine"
    sites: frozenset[Site] = FEATURE
    wants_clean: bool = True

    def __call__(self, out: Forward, at: Moment) -> PerExample:
        assert at.clean is not None  # asked for above
        if self.distance == "mse":
            return _over_members(out, at.clean, _mean_square)
        return -similarity(out, at.clean, self.axis)


def _mean_square(a: Tensor, b: Tensor) -> PerExample:
    return (_wide(a) - _wide(b)).square().mean((1, 2))


def _over_members(
    now: Forward, clean: Forward, compare: Callable[[Tensor, Tensor], PerExample]
) -> PerExample:
    pairs = zip(now.values(Site.FEATURE), clean.values(Site.FEATURE), strict=True)
    return torch.stack([compare(a, b) for a, b in pairs]).mean(0)


def _wide(x: Tensor) -> Tensor:
    """At least float32: a cosine of 8-bit mantissas says little near 1."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
