"""What a study of a sparsified victim rests on: pictures, clean and attacked, and their statistics.

Intervals are 95 % bootstraps over pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from engine.core.knobs import Knobbed, knob
from engine.core.shapes import Labels
from engine.evaluate.claim import Row, Unit, Verdict, verdict
from engine.evaluate.crafter import Crafter
from engine.evaluate.interval import Estimate, Rate, bootstrap, mean
from engine.model.sparse.cost import gain
from engine.model.victim import Victim
from engine.papers.desparsify import published
from engine.papers.desparsify.findings import Measured
from engine.papers.desparsify.passes import DENSE, dense_macs, mechanism
from engine.papers.desparsify.sets import Load

LEAST = 8


@dataclass(frozen=True)
class Settings(Knobbed):
    """What can be set; `steps` are DeSparsify's."""

    eps: float = knob(
        16 / 255,
        "The published budget, of the side experiments.",
        label="Budget eps",
        low=1 / 255,
        high=32 / 255,
        unit="1/255",
    )
    budget: float = knob(
        16 / 255,
        "The budget of the aim, at which all pictures are attacked.",
        low=1 / 255,
        high=32 / 255,
        unit="1/255",
    )
    aim: float = knob(
        0.5, "Share of the dense gap that is to be closed at that budget.", low=0, high=1
    )
    steps: int = knob(100, "Steps of DeSparsify at that budget.", low=1, high=1000)
    few: int = knob(24, "Pictures of the side experiments.", low=LEAST, high=4096)
    side_steps: int = knob(40, "Steps of DeSparsify there.", low=1, high=1000)
    other_steps: int = knob(
        20, "Steps there of attacks that aim at something else.", low=1, high=1000
    )
    calibration: int = knob(32, "Pictures set apart, a third at most.", low=1, high=4096)
    rounds: int = knob(30, "How often each time is taken.", low=1, high=1000)


@dataclass(frozen=True)
class Evidence:
    """Pictures of one model, clean and attacked; each method yields a claim's rows and findings.

    `main` are all pictures at the budget of the aim, `hard` the first few at the published one.
    """

    victim: Victim
    relatives: Mapping[str, Victim]
    settings: Settings
    craft: Crafter
    known: Tensor
    pixels: Tensor
    labels: Labels
    clean: Load
    main: Tensor
    hard: Tensor
    main_load: Load
    hard_load: Load

    @property
    def n(self) -> int:
        return len(self.labels)

    @property
    def few(self) -> int:
        return len(self.hard)

    @property
    def dense(self) -> int:
        return dense_macs(self.victim)

    @property
    def kind(self) -> str:
        return mechanism(self.victim)

    @property
    def host(self) -> Victim | None:
        """The dense model that the victim skips parts of, where it is known."""
        return next((v for v in self.relatives.values() if mechanism(v) == DENSE), None)

    def of_class(self, label: str) -> Tensor:
        return (self.labels == self.victim.spec.classes.index(label)).nonzero()[:, 0]

    def price(self, answers: Tensor) -> Rate:
        """Change of accuracy on clean pictures, in points."""
        before, after = ((x == self.labels).double() * 100 for x in (self.clean.answers, answers))
        return Rate.change(self.mean(after - before), self.n)

    def measured(
        self,
        name: str,
        eps: float,
        load: Load,
        clean: Load | None = None,
        labels: Tensor | None = None,
    ) -> Measured:
        """Of the first pictures, or of those that `clean` and `labels` are."""
        n = len(load.macs)
        clean, labels = clean or self.clean, self.labels[:n] if labels is None else labels
        return Measured(
            name,
            eps,
            n,
            self.mean(load.macs / 1e9),
            self.mean(load.utilisation * 100),
            self.gap(load.macs, clean.macs),
            self.gap_of_each(load, clean),
            self.rate(load.answers == clean.answers[:n]),
            self.rate(load.answers == labels),
        )

    def gap(self, macs: Tensor, clean: Tensor | None = None, dense: int | None = None) -> Estimate:
        """(mean C - mean C_clean) / (C_dense - mean C_clean) in %, of the first pictures."""
        after = macs.double()
        before = (self.clean.macs if clean is None else clean)[: len(after)]
        spared = (dense or self.dense) - before
        return bootstrap(lambda w: 100 * (w @ (after - before)) / (w @ spared), len(after))

    def gap_of_each(self, load: Load, clean: Load | None = None) -> Estimate:
        """The mean of the pictures' own ratios, in %; pictures of which nothing is spared are left out."""
        before = (clean or self.clean).macs[: len(load.macs)]
        own = 100 * gain(load.macs, before, self.dense)
        return self.mean(own[own.isfinite()])

    def gap_between(self, one: Load, other: Load, clean: Load | None = None) -> Estimate:
        """The difference of two gaps on the same pictures, in points."""
        n = len(one.macs)
        moved = one.macs - other.macs[:n]
        spared = self.dense - (clean or self.clean).macs[:n]
        return bootstrap(lambda w: 100 * (w @ moved) / (w @ spared), n)

    def mean(self, values: Tensor) -> Estimate:
        return mean(values)

    def rate(self, true: Tensor) -> Rate:
        """Of pictures, in %."""
        return Rate.of(self.mean(true.double() * 100), len(true))

    def row(
        self,
        claim: str,
        statement: str,
        measured: Estimate,
        unit: Unit,
        pictures: int,
        above: float | None = None,
        below: float | None = None,
        paper: str = "",
    ) -> Row:
        """`paper` names what the paper's Table 1 has of this mechanism, to stand beside the bar."""
        bars = [
            f"{word} {bar:g}"
            for word, bar in (("above", above), ("below", below))
            if bar is not None
        ]
        printed = published.gap(self.kind, paper)
        plain = Estimate(measured.value, measured.low, measured.high)
        expected = " and ".join(bars)
        if printed is not None:
            expected = f"{expected}; paper {100 * printed:.0f} %".removeprefix("; ")
        return Row(claim, statement, plain, unit, expected, _said(measured, above, below), pictures)


def _said(measured: Estimate, above: float | None, below: float | None) -> Verdict:
    """Of two bars the worse verdict."""
    turned = Estimate(-measured.value, -measured.high, -measured.low)
    both = verdict(measured, above), verdict(turned, None if below is None else -below)
    order: tuple[Verdict, ...] = ("fails", "undecided", "holds", "reported")
    return next(each for each in order if each in both)


def in_255ths(eps: float) -> str:
    return f"{255 * eps:g}/255"
