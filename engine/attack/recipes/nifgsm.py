from __future__ import annotations

from dataclasses import dataclass

from engine.attack.chain import Chain
from engine.attack.recipe import Momentum
from engine.attack.update import nesterov
from engine.model.victim import Spec


@dataclass(frozen=True)
class NIFGSM(Momentum):
    """Nesterov iterative FGSM (Lin et al., ICLR 2020): MI-FGSM that looks ahead.

    The gradient is taken at x + alpha mu m instead of x (not clipped, as published).
    """

    name = "nifgsm"
    title = "NI-FGSM: momentum that looks ahead"
    paper = "Lin et al., Nesterov Accelerated Gradient and Scale Invariance for Adversarial Attacks, ICLR 2020"

    def build(self, spec: Spec) -> Chain:
        del spec
        return self.mi_fgsm(accumulate=nesterov(self.mu, self.alpha))
