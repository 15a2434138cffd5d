from __future__ import annotations

from dataclasses import dataclass

from engine.attack.chain import Chain
from engine.attack.constraint import LinfBall
from engine.attack.criterion import CostUp, Criterion
from engine.attack.objective import Weighted
from engine.attack.quant_objective import ActivationNorm, KeepLogits, OutlierColumns
from engine.attack.recipe import Recipe
from engine.attack.update import chain, scale, sign
from engine.core.knobs import knob
from engine.model.victim import Spec


@dataclass(frozen=True)
class Sponge(Recipe):
    """Sponge example (Shumailov et al., EuroS&P 2021): large activations everywhere.

    x <- project(x + step sign(grad sum_l ||input_l||_2)) from the clean picture: the baseline that
    QuantAttack is to beat. Departure: the published sponge searches by a genetic algorithm or
    L-BFGS without a bound on the picture; here it is an L-inf attack like the others.
    """

    name = "sponge"
    title = "Sponge: large activations"
    paper = (
        "Shumailov et al., Sponge Examples: Energy-Latency Attacks on Neural Networks, EuroS&P 2021"
    )

    steps: int = knob(100, "Number of gradient steps.", low=1, high=3000, main=True)
    step_size: float = knob(
        0.0,
        "Size of one step; 0 stands for 0.002, or 2.5 eps / steps where a run is short.",
        low=0,
        high=32 / 255,
        unit="1/255",
    )
    class_weight: float = knob(
        0.0, "How strongly the clean answer is kept; sponges do not keep it.", low=0, high=1000
    )

    @property
    def criterion(self) -> Criterion:
        """What LLM.int8() pays at its published threshold: QuantAttack's measure, of its baseline."""
        return CostUp(OutlierColumns())

    def build(self, spec: Spec) -> Chain:
        del spec
        terms = (1.0, ActivationNorm()), (self.class_weight, KeepLogits())
        return Chain(
            Weighted(tuple(term for term in terms if term[0])),
            chain(sign(), scale(self.step_size or max(0.002, 2.5 * self.eps / self.steps))),
            LinfBall(self.eps),
            self.steps,
            criterion=self.criterion,
        )
