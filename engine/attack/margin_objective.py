"""Objectives on logits that say how far the answer is from falling, and not how sure it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from engine.attack.moment import Moment
from engine.core.errors import UnsupportedModel
from engine.core.shapes import Labels, Logits, PerExample
from engine.model.sites import Site
from engine.model.victim import Forward, Spec

Reference = Literal["first", "clean"]
TINY = 1e-12
"""What keeps a ratio finite where all logits are equal, as published."""


@dataclass(frozen=True)
class Margin:
    """max_{j != label} z_j - z_label, or z_target - max_{j != target} z_j: above 0 where reached.

    Carlini and Wagner's f6 without a cap on confidence (S&P 2017). Adding a constant to all logits
    changes nothing.
    """

    sites: frozenset[Site] = frozenset()
    wants_clean: bool = False

    def __call__(self, out: Forward, at: Moment) -> PerExample:
        return lead(out.logits, at)


@dataclass(frozen=True)
class DLR:
    """Difference of logits ratio, margin / (z_(1) - z_(3) + 1e-12), z_(k) the k-th largest logit.

    Neither shifting nor scaling all logits changes it (Croce and Hein, ICML 2020). It needs three
    classes.
    """

    sites: frozenset[Site] = frozenset()
    wants_clean: bool = False

    @classmethod
    def on(cls, spec: Spec) -> DLR:
        """For a victim; raises UnsupportedModel where it has too few classes."""
        _enough(spec, 3)
        return cls()

    def __call__(self, out: Forward, at: Moment) -> PerExample:
        top = out.logits.topk(3).values
        return lead(out.logits, at) / (top[:, 0] - top[:, 2] + TINY)


@dataclass(frozen=True)
class TargetedDLR:
    """(z_t - z_label) / (z_(1) - (z_(3) + z_(4)) / 2 + 1e-12), t the `rank`-th likeliest wrong class.

    Ranks are those of the clean picture, from 1; a task that has a target takes that one (Croce and
    Hein, ICML 2020). It needs four classes.
    """

    rank: int
    sites: frozenset[Site] = frozenset()
    wants_clean: bool = True

    @classmethod
    def on(cls, spec: Spec, most: int) -> tuple[TargetedDLR, ...]:
        """One for each of the `most` likeliest wrong classes, as far as there are so many; raises
        UnsupportedModel where the victim has too few classes."""
        _enough(spec, 4)
        return tuple(cls(rank) for rank in range(1, min(most, len(spec.classes) - 1) + 1))

    def __call__(self, out: Forward, at: Moment) -> PerExample:
        z, y = out.logits, at.task.labels
        top = z.topk(4).values
        aim = likeliest(at, self.rank) if at.task.target is None else at.task.target
        return (_of(z, aim) - _of(z, y)) / (top[:, 0] - (top[:, 2] + top[:, 3]) / 2 + TINY)


@dataclass(frozen=True)
class Guided:
    """max_{j != label} p_j - p_label + w_t sum_j (p_j - r_j)^2, p = softmax(z), w_t = w (1 - 4 t / T), >= 0.

    r are the probabilities of the picture of step 0, or of the clean one. Moving away from them
    guides the first quarter of the steps; with w = 0 it is the margin of probabilities. A targeted
    task takes the target's lead (Sriramanan et al., NeurIPS 2020).
    """

    weight: float = 50.0
    reference: Reference = "first"
    sites: frozenset[Site] = frozenset()

    @property
    def wants_clean(self) -> bool:
        return self.reference == "clean"

    @property
    def wants_first(self) -> bool:
        return self.reference == "first"

    def __call__(self, out: Forward, at: Moment) -> PerExample:
        p, anchor = out.logits.softmax(1), at.first if self.wants_first else at.clean
        assert anchor is not None  # wanted above
        away = (p - anchor.logits.softmax(1)).square().sum(1)
        return lead(p, at) + self.weight * max(0.0, 1 - 4 * at.step / at.steps) * away


def lead(z: Tensor, at: Moment) -> PerExample:
    """By how much what is wanted leads, of logits or probabilities (b, classes)."""
    if at.task.target is None:
        return _others(z, at.task.labels) - _of(z, at.task.labels)
    return _of(z, at.task.target) - _others(z, at.task.target)


def likeliest(at: Moment, rank: int) -> Labels:
    """The `rank`-th likeliest wrong class of each clean picture (b,)."""
    assert at.clean is not None  # wanted by who asks
    wrong = at.clean.logits.scatter(1, at.task.labels[:, None], -torch.inf)
    return wrong.topk(rank).indices[:, -1]


def _enough(spec: Spec, least: int) -> None:
    if len(spec.classes) < least:
        raise UnsupportedModel(
            f"{spec.full} has {len(spec.classes)} classes, and this loss needs {least}.",
            "Choose cross-entropy or the margin.",
        )


def _of(z: Logits, classes: Labels) -> PerExample:
    return z.gather(1, classes[:, None])[:, 0]


def _others(z: Logits, but: Labels) -> PerExample:
    return z.scatter(1, but[:, None], -torch.inf).amax(1)
