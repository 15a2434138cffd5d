from __future__ import annotations

from dataclasses import dataclass

from engine.attack.chain import Chain
from engine.attack.constraint import LinfBall
from engine.attack.objective import CrossEntropy
from engine.attack.recipe import Recipe
from engine.attack.update import chain, scale, sign
from engine.core.knobs import knob
from engine.model.victim import Spec


@dataclass(frozen=True)
class FGSM(Recipe):
    """Fast gradient sign method (Goodfellow et al., ICLR 2015): x = clip(x0 + eps sign(g))."""

    name = "fgsm"
    title = "FGSM: one signed step"
    paper = "Goodfellow et al., Explaining and Harnessing Adversarial Examples, ICLR 2015"

    steps: int = knob(1, "FGSM takes one step.", low=1, high=1)

    def build(self, spec: Spec) -> Chain:
        del spec
        return Chain(CrossEntropy(), chain(sign(), scale(self.eps)), LinfBall(self.eps), 1)
