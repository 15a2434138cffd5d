from __future__ import annotations

from dataclasses import dataclass

from engine.attack.apgd import apgd
from engine.attack.attack import Attack
from engine.attack.margin_objective import DLR, TargetedDLR
from engine.attack.objective import CrossEntropy, Objective
from engine.attack.recipe import Recipe
from engine.attack.sequence import Sequence
from engine.core.knobs import knob
from engine.model.victim import Spec


@dataclass(frozen=True)
class AutoPGD(Recipe):
    """Auto-PGD (Croce and Hein, ICML 2020): PGD with momentum that finds its own step sizes.

    x_{k+1} = P(x_k + 0.75 (P(x_k + eta sign(g)) - x_k) + 0.25 (x_k - x_{k-1})), eta_0 = 2 eps; at
    checkpoints eta is halved where a picture's loss stalls, and it goes on from its best. The result is
    the best picture of the way: fooled, then highest loss. Loss "dlr_t" goes for the likeliest wrong
    classes one after the other, each on what survived the one before.
    """

    name = "apgd"
    title = "APGD: PGD that finds its own step size"
    paper = (
        "Croce and Hein, Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse "
        "Parameter-free Attacks, ICML 2020"
    )

    steps: int = knob(100, "Number of gradient steps of one start.", low=1, high=1000, main=True)
    loss: str = knob(
        "ce",
        "Cross-entropy, the difference of logits ratio (dlr), or that towards the likeliest wrong "
        "classes in turn (dlr_t).",
        choices=("ce", "dlr", "dlr_t"),
        main=True,
    )
    targets: int = knob(
        9,
        "With dlr_t: how many classes are tried, fewer where the model knows fewer.",
        label="Target classes",
        low=1,
        high=9,
    )
    restarts: int = knob(
        1, "Begin so often, each time from new noise, until the picture falls.", low=1, high=50
    )

    def in_all(self, classes: int) -> int:
        tries = min(self.targets, classes - 1) if self.loss == "dlr_t" else 1
        return self.restarts * tries * self.steps

    def build(self, spec: Spec) -> Attack:
        tries = self.restarts * tuple(
            apgd(each, self.eps, self.steps) for each in self._objectives(spec)
        )
        return tries[0] if len(tries) == 1 else Sequence(tries)

    def _objectives(self, spec: Spec) -> tuple[Objective, ...]:
        if self.loss == "ce":
            return (CrossEntropy(),)
        if self.loss == "dlr":
            return (DLR.on(spec),)
        return TargetedDLR.on(spec, self.targets)
