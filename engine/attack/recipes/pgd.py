from __future__ import annotations

from dataclasses import dataclass

from engine.attack.attack import Attack
from engine.attack.chain import Chain
from engine.attack.constraint import LinfBall
from engine.attack.objective import CrossEntropy, Objective
from engine.attack.recipe import Restarting
from engine.attack.update import chain, scale, sign
from engine.core.knobs import knob
from engine.model.victim import Spec


@dataclass(frozen=True)
class PGD(Restarting):
    """Projected gradient descent (Madry et al., ICLR 2018).

    x <- clip(x + alpha sign(g)) inside the eps ball, from a uniform random start.
    The paper fixes no alpha for images of this size; 2.5 eps / steps is its authors' convention.
    """

    name = "pgd"
    title = "PGD: the plain white-box attack"
    paper = "Madry et al., Towards Deep Learning Models Resistant to Adversarial Attacks, ICLR 2018"

    step_size: float = knob(
        0.0,
        "Size of one step; 0 stands for 2.5 eps / steps.",
        low=0,
        high=32 / 255,
        unit="1/255",
    )
    random_start: bool = knob(True, "Start from uniform noise in the eps ball.")

    def build(self, spec: Spec) -> Attack:
        alpha = self.step_size or 2.5 * self.eps / self.steps
        attack = Chain(
            self.objective(spec),
            chain(sign(), scale(alpha)),
            LinfBall(self.eps),
            self.steps,
            start="random" if self.random_start else "clean",
        )
        return self.tried(attack)

    def objective(self, spec: Spec) -> Objective:
        """What is maximised on a victim of this geometry."""
        del spec
        return CrossEntropy()
