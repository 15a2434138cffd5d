from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from engine.attack.attack import Attack
from engine.attack.best import Best
from engine.attack.chain import Chain
from engine.attack.constraint import LinfBall
from engine.attack.criterion import Criterion, GapClosed
from engine.attack.objective import Objective, Weighted
from engine.attack.recipe import Recipe
from engine.attack.sparse_objective import (
    AllOn,
    Direction,
    KeepClass,
    Macs,
    Picks,
    Reading,
    Running,
    RunOn,
    Support,
    UniformScores,
    by_mechanism,
)
from engine.attack.update import chain, mean_abs, momentum, shrinking, sign
from engine.core.knobs import knob
from engine.model.sites import Site
from engine.model.victim import Spec


@dataclass(frozen=True)
class DeSparsify(Recipe):
    """DeSparsify (Yehezkel et al., NeurIPS 2024): wake the tokens that a model puts to sleep.

    x <- project(x - step_t sign(grad (L_mechanism + lam L_cls))),  step_t = start (1 + cos(pi t/T)) / 2,
    from the clean picture; the loss is that of the mechanism that the victim has: scores uniform
    (ATS), no halting (A-ViT), all decisions on (AdaViT). The authors published no code.

    Three defaults are this project's own. `form` "count" counts softly the tokens that will run, so that
    effort goes where one is about to be lost (AdaViT's published loss is such a count already). The
    `reading` "margin" of L_cls leaves answers alone while they are safe: cross-entropy with a clean
    answer in doubt between two classes holds neither. Past directions count by `mu`. As published:
    form=paper, reading=soft, mu=0, lam=8e-4, at which ATS on the bundled ViT answers 6 of 16 photographs
    differently at 16/255.

    Departures: the printed update has a plus. Where the victim is several models with different
    mechanisms, each loss is taken as a share of its clean value and all are minimised at once, and
    each keeps its own answer; the paper draws one a step. Runs of less than 25 steps start larger,
    for eps/10 would not take them to the edge of the ball. The paper leaves open the number of
    steps, the start and all that the other knobs of the loss offer (spec 10).
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
        0.1,
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
        "count",
        "The paper's loss (ATS: scores uniform, A-ViT: no halting), or our soft count of tokens that run.",
        label="Token loss",
        choices=("paper", "count"),
        main=True,
    )
    mu: float = knob(
        0.9,
        "How much of the past direction is kept; 0, as published, keeps none.",
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
        "margin",
        "Of the class loss: cross-entropy with the clean answer, that over the number of classes, "
        "one binary cross-entropy a class, or ours: how far the answer is from a safe lead.",
        label="Class loss",
        choices=("soft", "mean", "binary", "margin"),
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
        first = self.step_size or max(self.eps / 10, 2.5 * self.eps / self.steps)
        attack = Chain(
            Weighted(tuple(term for term in terms if term[0])),
            chain(*past, sign(), shrinking(first)),
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
        published = UniformScores(prefix, direction, support), RunOn(prefix)
        tokens = published if self.form == "paper" else (Picks(), Running())
        return by_mechanism((*tokens, AllOn(self.decisions == "soft")), spec)
