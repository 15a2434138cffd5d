"""QuantAttack's three losses and a sponge's, one number per picture, and the cost they are to raise."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from engine.attack.largest import largest
from engine.attack.moment import Moment
from engine.core.shapes import PerExample
from engine.model.sites import Site
from engine.model.victim import Forward

LINEAR_IN = frozenset({Site.LINEAR_IN})
Form = Literal["code", "paper", "count"]


@dataclass(frozen=True)
class RaiseOutliers:
    """Lift the inputs of linear layers over LLM.int8()'s threshold t (QuantAttack, spec A3).

    v are the `top` largest |input| of each column over a picture's tokens.
    - "code", the published loss: of each group of layers of equal width, the mean of (v - 35/3 t)^2
      over its values with t/3 < v < 7/6 t (hopeless and safe ones do not count); summed over
      groups; a group without such values gives 0 and no gradient.
    - "paper": per layer, the mean of (v - 35/3 t)^2 over its values v < t; the mean over layers.
    - "count", this project's: sum over columns of sigmoid(10 (v / t - 1)), v the largest alone: a
      soft count of outlier columns, so that effort goes where a column is about to tip.
    At t = 6 the constants are the published 2, 7 and 70; at other t they keep their ratio to it.
    The published code stacks pictures too; here masks and means are per picture, which is the same
    for its batch of one. Returned with the sign turned, because objectives are maximised.
    """

    threshold: float = 6.0
    form: Form = "code"
    top: int = 4
    sites: frozenset[Site] = LINEAR_IN
    wants_clean: bool = False

    def __call__(self, out: Forward, at: Moment) -> PerExample:
        del at
        inputs = [x for place, x in out.seen.items() if place.site is Site.LINEAR_IN]
        top = 1 if self.form == "count" else self.top
        floor = 0.3 * self.threshold if self.form == "code" else None
        values = [v / self.threshold for v in largest(inputs, len(out.images), top, floor)]
        unit = self.threshold**2
        if self.form == "count":
            return sum_of(v.sub(1).mul(10).sigmoid().sum((1, 2)) for v in values)
        if self.form == "paper":
            return -unit * torch.stack([_miss(v, -1, 1) for v in values]).mean(0)
        widths = {v.shape[-1] for v in values}
        groups = [torch.cat([v for v in values if v.shape[-1] == w], 1) for w in sorted(widths)]
        return -unit * sum_of(_miss(v, 1 / 3, 7 / 6) for v in groups)


@dataclass(frozen=True)
class OutlierColumns:
    """Input columns of linear layers with any |x| >= threshold in float16, as LLM.int8() compares.

    A cost for `CostUp`: each such column of a picture is multiplied in 16 bits (spec A1).
    """

    threshold: float = 6.0
    sites: frozenset[Site] = LINEAR_IN

    @property
    def name(self) -> str:
        return f"outlier columns at {self.threshold:.3g}"

    def __call__(self, out: Forward) -> PerExample:
        limit = out.logits.new_tensor(self.threshold).half()
        inputs = (x.detach() for place, x in out.seen.items() if place.site is Site.LINEAR_IN)
        peaks = (x.reshape(len(out.images), -1, x.shape[-1]).abs().amax(1).half() for x in inputs)
        return sum_of((peak >= limit).sum(1) for peak in peaks).to(out.logits)


def _miss(v: Tensor, low: float, high: float) -> PerExample:
    """Mean over low < v < high of (v - 35/3)^2, per picture; 0 where there is no such v."""
    near = (v > low) & (v < high)
    gap = torch.where(near, v - 35 / 3, 0).square()
    return gap.sum((1, 2)) / near.sum((1, 2)).clamp_min(1)


@dataclass(frozen=True)
class KeepLogits:
    """-mean_k (z_k(x) - z_k(x0))^2: the answer of the clean picture is to stay (spec A3, L_cls)."""

    sites: frozenset[Site] = frozenset()
    wants_clean: bool = True

    def __call__(self, out: Forward, at: Moment) -> PerExample:
        assert at.clean is not None  # asked for above
        return -(out.logits - at.clean.logits).square().mean(1)


@dataclass(frozen=True)
class Smoothness:
    """-(mean |dx| + mean |dy|) of the picture in pixels: anisotropic total variation, turned round.

    The published code has this term commented out; its weight 0.01 was meant for a sum (spec A9.1).
    """

    sites: frozenset[Site] = frozenset()
    wants_clean: bool = False

    def __call__(self, out: Forward, at: Moment) -> PerExample:
        del at
        return -sum_of(x.abs().mean((1, 2, 3)) for x in (out.images.diff(), out.images.diff(dim=2)))


@dataclass(frozen=True)
class ActivationNorm:
    """sum over linear layers of ||input||_2: a sponge wastes energy by large, dense activations.

    Sponge Examples (Shumailov et al., EuroS&P 2021) maximise activations measured in the simulator
    of a sparsity-aware chip; the norm is the differentiable stand-in its successors use.
    """

    sites: frozenset[Site] = LINEAR_IN
    wants_clean: bool = False

    def __call__(self, out: Forward, at: Moment) -> PerExample:
        del at
        inputs = (x for place, x in out.seen.items() if place.site is Site.LINEAR_IN)
        return sum_of(
            torch.linalg.vector_norm(x.reshape(len(out.images), -1), dim=1) for x in inputs
        )


def sum_of(values: Iterable[Tensor]) -> Tensor:
    """The sum of equally shaped tensors."""
    return torch.stack(list(values)).sum(0)
