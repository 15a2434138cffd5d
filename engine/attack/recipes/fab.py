from __future__ import annotations

from dataclasses import dataclass

from engine.attack import fab
from engine.attack.attack import Attack
from engine.attack.recipe import Recipe
from engine.core.knobs import knob
from engine.model.victim import Spec


@dataclass(frozen=True)
class FAB(Recipe):
    """FAB-T (Croce and Hein, ICML 2020): the nearest picture of another class, in L-inf.

    It steps to where the model, taken as linear, is undecided between the label and a wrong class,
    leans back to the clean picture, and keeps the nearest picture that is misread: towards each of the
    likeliest wrong classes in turn. What it finds beyond eps is cut to eps, which mostly undoes it.
    """

    name = "fab"
    title = "FAB-T: the nearest misread picture"
    paper = (
        "Croce and Hein, Minimally Distorted Adversarial Examples with a Fast Adaptive Boundary "
        "Attack, ICML 2020"
    )

    steps: int = knob(
        100, "Number of gradient steps towards each class.", low=1, high=1000, main=True
    )
    targets: int = knob(
        9,
        "How many wrong classes are tried, the likeliest first.",
        label="Target classes",
        low=1,
        high=9,
        main=True,
    )

    def in_all(self, classes: int) -> int:
        return min(self.targets, classes - 1) * self.steps

    def build(self, spec: Spec) -> Attack:
        return fab.FAB(self.eps, self.steps, fab.ranks(spec, self.targets))
