"""What an int8 victim's study finds beside its claims: every set of pictures, defence, detector."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from engine.evaluate.interval import Estimate, Rate
from engine.papers.detected import Detected


@dataclass(frozen=True)
class About:
    """What was measured on what: `pictures` were measured, others calibrated; accuracies in %.

    `share` is the share of clean columns that set the threshold, 0 where the threshold was given.
    """

    model: str
    pictures: int
    calibration: int
    threshold: float
    share: float
    eps: float
    steps: int
    form: str
    device: str
    float_accuracy: float
    int8_accuracy: float


@dataclass(frozen=True)
class Measured:
    """One set of pictures: outlier columns, % of multiplications outside int8, % of answers kept."""

    name: str
    columns: Estimate
    share: Estimate
    kept: Rate


@dataclass(frozen=True)
class Defended:
    """One countermeasure: its share outside int8 under attack over the undefended one (`left`), what
    it costs in accuracy on clean pictures (`price`, points), its accuracy under attack (%), and the
    share that it promises never to exceed, if it does."""

    name: str
    left: Estimate
    price: Rate
    attacked: Rate
    bound: float | None


Finding = About | Measured | Defended | Detected


@dataclass(frozen=True)
class Findings:
    """All of them, of one model."""

    about: About
    measured: tuple[Measured, ...]
    defended: tuple[Defended, ...]
    detected: Detected

    @staticmethod
    def of(found: Iterable[Finding]) -> Findings:
        """Those that were found one by one; the last About and Detected count."""
        kept = list(found)
        return Findings(
            [each for each in kept if isinstance(each, About)][-1],
            tuple(each for each in kept if isinstance(each, Measured)),
            tuple(each for each in kept if isinstance(each, Defended)),
            [each for each in kept if isinstance(each, Detected)][-1],
        )
