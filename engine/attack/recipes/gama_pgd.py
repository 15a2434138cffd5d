from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from engine.attack.attack import Attack
from engine.attack.chain import Chain
from engine.attack.constraint import LinfCorners
from engine.attack.margin_objective import Guided, Reference
from engine.attack.moment import Moment
from engine.attack.recipe import Restarting
from engine.attack.update import Update, chain, sign, stateless
from engine.core.knobs import knob
from engine.model.victim import Spec


@dataclass(frozen=True)
class GamaPGD(Restarting):
    """GAMA-PGD (Sriramanan et al., NeurIPS 2020): guided first, then on the margin of probabilities.

    x <- clip(x + a_t sign(grad (margin + w_t |p - r|^2))), from a random corner of the ball; w falls
    from `weight` to 0 over the first quarter of the steps; a_t is 2 eps, a tenth of it from 60 % of
    the steps on and a hundredth from 85 %. r are the probabilities of the start, as in the published
    code, or of the clean picture, as in the paper's text. The published loop knows 100 steps only;
    other numbers keep its shares. Departure: the start is clipped to [0, 1] before r is taken.
    """

    name = "gama_pgd"
    title = "GAMA-PGD: guided away first, then on the margin"
    paper = "Sriramanan et al., Guided Adversarial Attack for Evaluating and Enhancing Adversarial Defenses, NeurIPS 2020"

    steps: int = knob(100, "Number of gradient steps of one start.", low=1, high=1000, main=True)
    weight: float = knob(
        50.0,
        "How strongly the first steps are guided; 0 is the margin of probabilities alone.",
        label="Guidance",
        low=0,
        high=1000,
    )
    reference: str = knob(
        "first",
        "Guided away from the answer to the first picture, the noisy one, or to the clean one.",
        label="Guided away from",
        choices=("first", "clean"),
    )

    def build(self, spec: Spec) -> Attack:
        del spec
        ball, guided = LinfCorners(self.eps), Guided(self.weight, cast(Reference, self.reference))
        return self.tried(Chain(guided, self.update(), ball, self.steps, start="random"))

    def update(self) -> Update:
        return chain(sign(), stateless(lambda g, at: 2 * self.eps * falling(at, 10) * g))


def falling(at: Moment, times: float) -> float:
    """1, from 60 % of the steps on 1 / times, from 85 % on 1 / times^2."""
    return times ** -sum(100 * at.step >= mark * at.steps for mark in (60, 85))
