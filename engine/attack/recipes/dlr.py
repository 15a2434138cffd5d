from __future__ import annotations

from dataclasses import dataclass

from engine.attack.margin_objective import DLR
from engine.attack.objective import Objective
from engine.attack.recipes.pgd import PGD
from engine.model.victim import Spec


@dataclass(frozen=True)
class PGDOnDLR(PGD):
    """PGD on the difference of logits ratio: margin / (z_(1) - z_(3)), which no scale of logits changes.

    The signs of its gradient are not the margin's, for the ratio's bottom moves, too. APGD with
    loss dlr is the paper's own attack.
    """

    name = "dlr"
    title = "DLR: PGD on the difference of logits ratio"
    paper = (
        "Croce and Hein, Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse "
        "Parameter-free Attacks, ICML 2020"
    )

    def objective(self, spec: Spec) -> Objective:
        return DLR.on(spec)
