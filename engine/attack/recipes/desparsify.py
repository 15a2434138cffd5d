from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

from engine.attack.attack import Attack
from engine.attack.best import Best
from engine.attack.chain import Chain
from engine.attack.constraint import LinfBall
from engine.attack.criterion import Criterion, GapClosed
from engine.attack.moment import Moment
from engine.attack.objective import Objective, Weighted
from engine.attack.recipe import Recipe
from engine.attack.sparse_objective import (
    AllOn,
    Direction,
    KeepClass,
    Macs,
    Picks,
    Reading,
    RunOn,
    Support,
    UniformScores,
    by_mechanism,
)
from engine.attack.update import Update, chain, mean_abs, momentum, sign, stateless
from engine.core.knobs import knob
from engine.model.sites import Site
from engine.model.victim import Spec


@dataclass(frozen=True)
class DeSparsify(Recipe):
    """DeSparsify (Yehezkel et al., NeurIPS 2024): wake the tokens that a model puts to sleep.

    x <- project(x - step_t sign(grad (L_mechanism + lam L_cls))),  step_t = start (1 + cos(pi t/T)) / 2,
    from the clean picture; the loss is that of the mechanism that the victim has: scores uniform
    (ATS), no halting (A-ViT), all decisions on (AdaViT). The authors published no code.

    Departures: the printed update has a plus. Where the victim is several models with different
    mechanisms, each loss is taken as a share of its clean value and all are minimised at once; the
    paper draws one a step. Runs of less than 25 steps start larger, for eps/10 would not take them to
    the edge of the ball. lam is 0.01: at the paper's 8e-4 ATS on the bundled ViT answers 6 of 16
    photographs differently at 16/255. `form` "count" is this project's own loss. The paper leaves
    open the number of steps, the start and all that the other knobs of the loss offer (spec 10).
    """

    name = "desparsify"
    title = "DeSparsify: waking the sleeping tokens"
    paper = (
        "Yehezkel et al., DeSparsify: Adversarial Attack Against Token Sparsification Mechanisms in "
        "Vision Transformers, NeurIPS 2024"
    )

    eps: float = knob(
        16 / 255,
        "Largest change of any pixel; the paper uses 16/255.",
        label="Budget eps",
        low=0,
        grain=1 / 255,
        high=32 / 255,
        unit="1/255",
        main=True,
    )
    steps: int = knob(250, "Number of gradient steps.", low=1, high=3000, main=True)
    lam: float = knob(
        0.01,
        "How strongly the clean answer is kept; 0 does not keep it.",
        label="Class weight",
        low=0,
        high=1000,
        main=True,
    )
    iterate: str = knob(
        "last",
        "The picture after the last step, or the best on the way: answer kept, then lowest loss.",
        choices=("last", "best"),
        main=True,
    )
    form: str = knob(
        "paper",
        "ATS: the paper's distance from uniform scores, or our soft count of the tokens picked.",
        label="Token loss",
        choices=("paper", "count"),
        main=True,
    )
    mu: float = knob(
        0.0,
        "How much of the past direction is kept; 0, as published, keeps none. ATS falls faster with 0.9.",
        label="Momentum",
        low=0,
        high=2,
    )
    step_size: float = knob(
        0.0,
        "Size of the first step; 0 stands for eps / 10, or 2.5 eps / steps where a run is short.",
        low=0,
        high=32 / 255,
        unit="1/255",
    )
    reading: str = knob(
        "soft",
        "Of the class loss: cross-entropy with the clean answer, that over the number of classes, "
        "or one binary cross-entropy a class.",
        label="Class loss",
        choices=("soft", "mean", "binary"),
    )
    decisions: str = knob(
        "hard",
        "AdaViT's decisions in the loss: as made, 0 or 1, or their sigmoids.",
        choices=("hard", "soft"),
    )
    direction: str = knob(
        "uniform",
        "ATS: divergence from the uniform distribution to the scores, or from the scores to it.",
        label="KL from",
        choices=("uniform", "scores"),
    )
    support: str = knob(
        "entering",
        "ATS: uniform over the patches that enter a block, or over all of the picture.",
        choices=("entering", "all"),
    )
    random_start: bool = knob(False, "Start from uniform noise in the eps ball.")

    @property
    def criterion(self) -> Criterion:
        return GapClosed(Macs())

    def build(self, spec: Spec) -> Attack:
        keep = KeepClass(cast(Reading, self.reading), spec.sites & {Site.VOTE})
        terms = (1.0, self.mechanism(spec)), (self.lam, keep)
        past = (mean_abs(), momentum(self.mu)) if self.mu else ()
        attack = Chain(
            Weighted(tuple(term for term in terms if term[0])),
            chain(*past, sign(), self._shrinking()),
            LinfBall(self.eps),
            self.steps,
            start="random" if self.random_start else "clean",
            criterion=self.criterion,
        )
        return Best(attack) if self.iterate == "best" else attack

    def mechanism(self, spec: Spec) -> Objective:
        """Minus the loss of what the victim has."""
        prefix = tuple(block.prefix for block in spec.blocks)
        direction, support = cast(Direction, self.direction), cast(Support, self.support)
        losses = (
            Picks() if self.form == "count" else UniformScores(prefix, direction, support),
            RunOn(prefix),
            AllOn(self.decisions == "soft"),
        )
        return by_mechanism(losses, spec)

    def _shrinking(self) -> Update:
        first = self.step_size or max(self.eps / 10, 2.5 * self.eps / self.steps)

        def size(at: Moment) -> float:
            return first * (1 + math.cos(math.pi * at.step / at.steps)) / 2

        return stateless(lambda g, at: size(at) * g)
