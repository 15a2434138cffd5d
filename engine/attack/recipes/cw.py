from __future__ import annotations

from dataclasses import dataclass

from engine.attack.margin_objective import Margin
from engine.attack.objective import Objective
from engine.attack.recipes.pgd import PGD
from engine.model.victim import Spec


@dataclass(frozen=True)
class CW(PGD):
    """PGD on Carlini and Wagner's margin: max_{j != label} z_j - z_label, without a cap on confidence.

    Its gradient stays where cross-entropy's vanishes because the model is sure of its answer. The
    paper's own attack is another, without a ball (`cw_l2`); this is what "CW" in tables of robust
    accuracy means.
    """

    name = "cw"
    title = "CW: PGD on the margin of logits"
    paper = "Carlini and Wagner, Towards Evaluating the Robustness of Neural Networks, S&P 2017"

    def objective(self, spec: Spec) -> Objective:
        del spec
        return Margin()
