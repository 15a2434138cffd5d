from __future__ import annotations

from dataclasses import dataclass, replace

from engine.attack.chain import Chain
from engine.attack.estimate import Neighbourhood
from engine.attack.recipe import Momentum
from engine.core.knobs import knob
from engine.model.victim import Spec


@dataclass(frozen=True)
class VMI(Momentum):
    """Variance tuning on MI-FGSM (Wang & He, CVPR 2021).

    m <- mu m + norm(g_t + v_{t-1}),  v_t = 1/n sum_i grad(x + r_i) - g_t,
    r_i ~ U(-beta eps, beta eps) per pixel, v_0 = 0. One step takes n + 1 gradients: compare it at
    equal gradients, not at equal steps.
    """

    name = "vmi"
    title = "VMI: gradients tuned by their neighbourhood"
    paper = "Wang and He, Enhancing the Transferability of Adversarial Attacks through Variance Tuning, CVPR 2021"

    samples: int = knob(20, "Neighbours per step.", label="Neighbours", low=1, high=50)
    beta: float = knob(1.5, "Radius of the neighbourhood, in eps.", low=0, high=3)

    def build(self, spec: Spec) -> Chain:
        del spec
        return replace(self.mi_fgsm(), estimate=Neighbourhood(self.samples, self.beta * self.eps))
