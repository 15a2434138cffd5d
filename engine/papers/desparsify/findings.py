"""What a study of a sparsified victim finds beside its claims: sets of pictures, curves, other models."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from engine.evaluate.interval import Estimate, Rate
from engine.papers.detected import Detected

T = TypeVar("T")


@dataclass(frozen=True)
class About:
    """What was measured on what: `pictures` were measured, the first `few` of them in the side
    experiments, `calibration` others set the detector; GMACs of a pass that spares nothing; % of
    clean pictures that the model and its dense host get right.

    `eps` is the published budget, of the side experiments with their `side_steps`, `budget` the one
    of the aim; both in pixels of [0, 1].
    """

    model: str
    mechanism: str
    pictures: int
    few: int
    calibration: int
    eps: float
    budget: float
    steps: int
    side_steps: int
    device: str
    dense: float
    accuracy: Rate
    dense_accuracy: Rate


@dataclass(frozen=True)
class Measured:
    """One set of n pictures in the attacked model, changed by at most `eps`.

    `macs` GMACs, `utilisation` % of tokens used, `gap` % of the dense gap closed (ratio of means)
    and `each` (mean of ratios), `kept` % that get the clean picture's answer, `right` % that get
    the true class.
    """

    name: str
    eps: float
    pictures: int
    macs: Estimate
    utilisation: Estimate
    gap: Estimate
    each: Estimate
    kept: Rate
    right: Rate


@dataclass(frozen=True)
class Point:
    """The curve over budgets: % of the gap closed at `eps` by the attack and by sign noise, % of
    answers kept. Below 1/255 a saved picture cannot change: there pixels are not rounded."""

    eps: float
    gap: Estimate
    noise: Estimate
    kept: Rate


@dataclass(frozen=True)
class Abroad:
    """What the pictures made on this model do in another one of the same host: % of its own gap
    closed (of a dense one 0, exactly) and % of its own clean answers kept."""

    model: str
    title: str
    mechanism: str
    gap: Estimate
    kept: Rate


@dataclass(frozen=True)
class Bounded:
    """One bound on the tokens of each block, a share of all: GMACs of clean pictures and of attacked
    ones whose attacker did not know of it (`blind`) or did (`adaptive`), none of which can exceed
    `ceiling`; what it costs on clean pictures (`price`, points of accuracy), and % of the undefended
    model's clean answers that clean and attacked pictures get."""

    bound: float
    ceiling: float
    clean: Estimate
    blind: Estimate
    adaptive: Estimate | None
    price: Rate
    agreed: Rate
    kept: Rate
    kept_adaptive: Rate | None


@dataclass(frozen=True)
class Defended:
    """A countermeasure calibrated on clean pictures: % of the dense gap that the attack still
    closes (`left`, against the undefended model's clean cost), GMACs clean and attacked, its price
    in points of accuracy on clean pictures, and % of answers kept under attack."""

    name: str
    left: Estimate
    clean: Estimate
    attacked: Estimate
    price: Rate
    kept: Rate


Finding = About | Measured | Point | Abroad | Bounded | Defended | Detected


@dataclass(frozen=True)
class Findings:
    """All of them, of one model."""

    about: About
    measured: tuple[Measured, ...]
    curve: tuple[Point, ...]
    abroad: tuple[Abroad, ...]
    bounds: tuple[Bounded, ...]
    defended: tuple[Defended, ...]
    detected: Detected

    @staticmethod
    def of(found: Iterable[Finding]) -> Findings:
        """Those that were found one by one; the last About and Detected count."""
        kept = list(found)

        def every(kind: type[T]) -> tuple[T, ...]:
            return tuple(each for each in kept if isinstance(each, kind))

        return Findings(
            every(About)[-1],
            every(Measured),
            every(Point),
            every(Abroad),
            every(Bounded),
            every(Defended),
            every(Detected)[-1],
        )
