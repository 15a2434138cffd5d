from __future__ import annotations

from dataclasses import dataclass

from engine.attack.chain import Chain
from engine.attack.recipe import Momentum
from engine.attack.update import smooth
from engine.core.knobs import knob
from engine.model.victim import Spec


@dataclass(frozen=True)
class TIM(Momentum):
    """Translation-invariant method (Dong et al., CVPR 2019) on MI-FGSM.

    g <- W * g before it is normalised: smoothing a gradient stands for averaging it over shifted
    pictures. W is a Gaussian of 15 x 15 taps that reaches 3 sigma, as in the published code.
    """

    name = "tim"
    title = "TIM: smoothed gradients"
    paper = "Dong et al., Evading Defenses to Transferable Adversarial Examples by Translation-Invariant Attacks, CVPR 2019"

    reach: int = knob(7, "Pixels the kernel reaches to each side.", low=1, high=15)
    sigmas: float = knob(3.0, "Standard deviations at its edge.", low=0.5, high=5)

    def build(self, spec: Spec) -> Chain:
        del spec
        return self.mi_fgsm(first=smooth(2 * self.reach + 1, self.sigmas))
