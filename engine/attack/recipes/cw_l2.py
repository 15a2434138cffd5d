from __future__ import annotations

from dataclasses import dataclass

from engine.attack.attack import Attack
from engine.attack.carlini import CarliniWagner
from engine.attack.recipe import Recipe
from engine.core.knobs import knob
from engine.model.victim import Spec


@dataclass(frozen=True)
class CWL2(Recipe):
    """Carlini and Wagner's L2 attack (S&P 2017): the nearest picture that fools, by a search.

    min |x - x0|^2 + c max(-margin(x), -kappa) by Adam in tanh space, c by bisection for each picture.
    There is no ball: eps is 1, so that any pixel may change by any amount; a smaller one cuts the box.

    Departures: the model sees pictures in 8 bits unless `rounded` is off, for what is found is so near
    that a PNG would undo it; fewer steps and rounds, and a first weight of 1 instead of 0.001, which
    spends three rounds of nine on being too small here; no round ends early, for the published rule
    looks at the whole batch.
    """

    name = "cw_l2"
    title = "CW L2: the nearest picture that fools"
    paper = "Carlini and Wagner, Towards Evaluating the Robustness of Neural Networks, S&P 2017"

    eps: float = knob(
        1.0,
        "Largest change of any pixel; 1, as published, allows any: distance is kept small instead.",
        label="Budget eps",
        low=0,
        grain=1 / 255,
        high=1,
        unit="1/255",
        main=True,
    )
    steps: int = knob(
        40, "Gradient steps for each weight that is tried.", low=1, high=1000, main=True
    )
    rounds: int = knob(
        5, "How many weights are tried, one after the other.", low=1, high=20, main=True
    )
    first_weight: float = knob(
        1.0, "The first weight of being fooled against being near.", low=0.0001, high=1000
    )
    kappa: float = knob(
        0.0,
        "By how much the other answer must lead, in logits.",
        label="Confidence",
        low=0,
        high=50,
    )
    rate: float = knob(0.01, "Adam's step in tanh space.", label="Learning rate", low=0, high=1)
    rounded: bool = knob(True, "The model sees the picture as a file will hold it, in 8 bits.")

    def in_all(self, classes: int) -> int:
        return self.rounds * super().in_all(classes)

    def build(self, spec: Spec) -> Attack:
        del spec
        return CarliniWagner(
            self.eps,
            self.steps,
            self.rounds,
            self.rate,
            self.first_weight,
            self.kappa,
            self.rounded,
        )
