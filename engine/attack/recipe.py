"""A recipe: a named attack whose fields are its knobs, built for a victim's geometry."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from engine.attack.attack import Attack
from engine.attack.best import Best
from engine.attack.chain import ANOTHER_ANSWER, Chain
from engine.attack.constraint import LinfBall
from engine.attack.criterion import Criterion
from engine.attack.objective import CrossEntropy
from engine.attack.sequence import restarted
from engine.attack.update import Update, chain, mean_abs, momentum, scale, sign
from engine.core.knobs import Knobbed, knob
from engine.model.victim import Spec


@dataclass(frozen=True)
class Recipe(Knobbed):
    """Base of all recipes. A subclass is one file: `name`, `title`, `paper`, knobs and `build`."""

    name: ClassVar[str]
    title: ClassVar[str]
    paper: ClassVar[str]

    eps: float = knob(
        8 / 255,
        "Largest change of any pixel; 0 changes nothing, as a control.",
        label="Budget eps",
        low=0,
        grain=1 / 255,
        high=32 / 255,
        unit="1/255",
        main=True,
    )
    steps: int = knob(10, "Number of gradient steps.", low=1, high=200, main=True)

    @property
    def criterion(self) -> Criterion:
        """What success means, known before there is a victim."""
        return ANOTHER_ANSWER

    def in_all(self, classes: int) -> int:
        """The steps of a whole run on a model of so many classes, where no try ends early."""
        del classes
        return self.steps

    @abstractmethod
    def build(self, spec: Spec) -> Attack:
        """The attack for a victim of this geometry; its criterion is the recipe's."""


@dataclass(frozen=True)
class Restarting(Recipe):
    """Knobs of attacks that begin at random: which picture is kept, and how often they begin."""

    keep: str = knob(
        "last",
        "The picture after the last step, as published, or the best on the way: goal reached, then "
        "highest loss.",
        label="Picture kept",
        choices=("last", "best"),
    )
    restarts: int = knob(
        1,
        "Tries, each of all steps from new noise; the next one only if the one before failed.",
        label="Restarts",
        low=1,
        high=50,
    )

    def in_all(self, classes: int) -> int:
        return self.restarts * super().in_all(classes)

    def tried(self, attack: Attack) -> Attack:
        """The attack with its best picture, if that is kept, as often as it takes."""
        return restarted(Best(attack) if self.keep == "best" else attack, self.restarts)


@dataclass(frozen=True)
class Momentum(Recipe):
    """Knobs of the MI-FGSM family, and MI-FGSM itself, of which the others replace parts."""

    eps: float = knob(
        16 / 255,
        "Largest change of any pixel; the transfer papers use 16/255.",
        label="Budget eps",
        low=0,
        grain=1 / 255,
        high=32 / 255,
        unit="1/255",
        main=True,
    )
    step_size: float = knob(
        0.0,
        "Size of one step; 0 stands for eps / steps, as published.",
        low=0,
        high=32 / 255,
        unit="1/255",
    )
    mu: float = knob(
        1.0, "How much of the past direction is kept.", label="Momentum", low=0, high=2
    )

    @property
    def alpha(self) -> float:
        return self.step_size or self.eps / self.steps

    def mi_fgsm(self, accumulate: Update | None = None, first: Update | None = None) -> Chain:
        """m <- mu m + g / mean|g|,  x <- clip(x + alpha sign(m)),  m_0 = 0.

        `accumulate` stands in for the momentum, `first` changes g before it is normalised.
        """
        parts = (mean_abs(), accumulate or momentum(self.mu), sign(), scale(self.alpha))
        update = chain(first, *parts) if first else chain(*parts)
        return Chain(CrossEntropy(), update, LinfBall(self.eps), self.steps)
