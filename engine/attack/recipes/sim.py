from __future__ import annotations

from dataclasses import dataclass, replace

from engine.attack.chain import Chain
from engine.attack.estimate import Scales
from engine.attack.recipe import Momentum
from engine.core.knobs import knob
from engine.model.victim import Spec


@dataclass(frozen=True)
class SIM(Momentum):
    """Scale-invariant method (Lin et al., ICLR 2020) on MI-FGSM.

    g = 1/n sum_i d J(x / 2^i) / d x, i = 0 .. n - 1, n = 5: darker copies of the picture agree on
    a direction. The paper adds it to NI-FGSM; here MI-FGSM is kept, so that one thing changes.
    """

    name = "sim"
    title = "SIM: average over darker copies"
    paper = "Lin et al., Nesterov Accelerated Gradient and Scale Invariance for Adversarial Attacks, ICLR 2020"

    samples: int = knob(
        5, "Copies of the picture, each half as bright.", label="Copies", low=1, high=10
    )

    def build(self, spec: Spec) -> Chain:
        del spec
        return replace(self.mi_fgsm(), estimate=Scales(self.samples))
