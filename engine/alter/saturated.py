"""A victim whose softmax saturates: the positive control for attention scaling."""

from __future__ import annotations

from dataclasses import dataclass

from engine.alter.alteration import Alteration
from engine.core.knobs import knob
from engine.model.gain import everywhere
from engine.model.victim import Victim


@dataclass(frozen=True)
class Saturated(Alteration):
    """softmax(c q k^T / sqrt(d) + ...) in every block: `Scaled` by 1 / c on it is the model as it was.

    Where the gradient of such a model is masked, the right answer to it is known (issue of AAS).
    """

    name = "saturated"
    title = "Saturated attention"
    paper = "the positive control of this project for Adaptive Attention Scaling, CVPR 2024"

    c: float = knob(
        30.0,
        "Every pre-softmax score is multiplied by this.",
        label="Scores times",
        low=1,
        high=300,
        main=True,
    )

    def change(self, victim: Victim) -> Victim:
        return everywhere(victim, self.c)
