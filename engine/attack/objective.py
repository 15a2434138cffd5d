"""What an attack maximises: one number per example, so that a batch never couples its images."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F

from engine.attack.moment import Moment
from engine.core.shapes import PerExample
from engine.model.sites import Site
from engine.model.victim import Forward


class Objective(Protocol):
    """Maximised. `sites` are observed for it; `wants_clean` asks for the clean pass in `Moment`."""

    @property
    def sites(self) -> Collection[Site]: ...
    @property
    def wants_clean(self) -> bool: ...
    def __call__(self, out: Forward, at: Moment) -> PerExample: ...


@runtime_checkable
class Anchored(Protocol):
    """An objective that may also want the pass on the picture of step 0: `Moment.first`."""

    @property
    def wants_first(self) -> bool: ...


@dataclass(frozen=True)
class CrossEntropy:
    """-log p(label), or log p(target) for a targeted task, p = softmax(logits)."""

    sites: frozenset[Site] = frozenset()
    wants_clean: bool = False

    def __call__(self, out: Forward, at: Moment) -> PerExample:
        if at.task.target is None:
            return F.cross_entropy(out.logits, at.task.labels, reduction="none")
        return -F.cross_entropy(out.logits, at.task.target, reduction="none")


@dataclass(frozen=True)
class PerturbationNorm:
    """||x - x0||_2 per image, before the view; its gradient at x = x0 is 0.

    PatchOut adds it (Wei et al., AAAI 2022). Departure: the published code takes one norm over the
    whole batch, so that an image's attack depends on its neighbours.
    """

    sites: frozenset[Site] = frozenset()
    wants_clean: bool = False

    def __call__(self, out: Forward, at: Moment) -> PerExample:
        x = out.images if at.x is None else at.x
        return torch.linalg.vector_norm(x - at.x0, dim=(1, 2, 3))


@dataclass(frozen=True)
class Weighted:
    """sum_i w_i objective_i."""

    terms: tuple[tuple[float, Objective], ...]

    @property
    def sites(self) -> frozenset[Site]:
        return frozenset(site for _, term in self.terms for site in term.sites)

    @property
    def wants_clean(self) -> bool:
        return any(term.wants_clean for _, term in self.terms)

    def __call__(self, out: Forward, at: Moment) -> PerExample:
        values = [weight * term(out, at) for weight, term in self.terms]
        return torch.stack(values).sum(0)
