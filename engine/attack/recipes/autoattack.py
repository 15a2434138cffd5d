from __future__ import annotations

from dataclasses import dataclass

from engine.attack import autoattack
from engine.attack.attack import Attack
from engine.attack.recipe import Recipe
from engine.core.knobs import knob
from engine.model.victim import Spec


@dataclass(frozen=True)
class AutoAttack(Recipe):
    """AutoAttack, standard version (Croce and Hein, ICML 2020): four attacks, none to be tuned.

    APGD on the cross-entropy, APGD on the targeted DLR loss, FAB-T, Square: each on what stands, and
    over as soon as the picture falls. It warns where its word is not to be relied on: chance in the
    model, no gradient, too few classes, or queries that find what gradients do not.
    """

    name = "autoattack"
    title = "AutoAttack: four attacks in turn, the standard test"
    paper = (
        "Croce and Hein, Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse "
        "Parameter-free Attacks, ICML 2020"
    )

    steps: int = knob(
        100,
        "Gradient steps of each APGD and FAB-T towards each class.",
        low=1,
        high=1000,
        main=True,
    )
    targets: int = knob(
        9,
        "How many wrong classes APGD-T and FAB-T try, the likeliest first.",
        label="Target classes",
        low=1,
        high=9,
        main=True,
    )
    queries: int = knob(5000, "How often Square asks the model.", low=1, high=10_000, main=True)

    def in_all(self, classes: int) -> int:
        targets, aiming = min(self.targets, classes - 1), 2 if classes >= 4 else 1
        return (1 + aiming * targets) * self.steps + self.queries

    def build(self, spec: Spec) -> Attack:
        return autoattack.AutoAttack(self.eps, self.steps, self.targets, self.queries, spec)
