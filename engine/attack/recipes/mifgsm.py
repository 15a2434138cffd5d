from __future__ import annotations

from dataclasses import dataclass

from engine.attack.chain import Chain
from engine.attack.recipe import Momentum
from engine.model.victim import Spec


@dataclass(frozen=True)
class MIFGSM(Momentum):
    """Momentum iterative FGSM (Dong et al., CVPR 2018).

    m <- mu m + g / mean|g|,  x <- clip(x + alpha sign(m)),  alpha = eps / steps, m_0 = 0.
    Departure: an all-zero gradient leaves m as it is, where the published code divides by zero.
    """

    name = "mifgsm"
    title = "MI-FGSM: the transfer baseline"
    paper = "Dong et al., Boosting Adversarial Attacks with Momentum, CVPR 2018"

    def build(self, spec: Spec) -> Chain:
        del spec
        return self.mi_fgsm()
