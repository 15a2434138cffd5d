from __future__ import annotations

from dataclasses import dataclass, replace

from engine.attack.chain import Chain
from engine.attack.objective import CrossEntropy, PerturbationNorm, Weighted
from engine.attack.recipe import Momentum
from engine.attack.recipes.pna import pay_no_attention
from engine.attack.view import PatchOut
from engine.core.knobs import knob
from engine.model.victim import Spec


@dataclass(frozen=True)
class PNAPatchOut(Momentum):
    """PNA + PatchOut (Wei et al., AAAI 2022), on MI-FGSM.

    maximise CE(x0 + M_t (x - x0)) + lambda ||x - x0||_2, with no gradient through attention maps.
    M_t shows 130 of 196 patches, other ones each step; lambda = 0.1. Departures: the published norm
    is one over the whole batch, here one per picture; pictures of another size keep the same share
    of 16-pixel squares.
    """

    name = "patchout"
    title = "PNA-PatchOut: part of the perturbation at a time"
    paper = "Wei et al., Towards Transferable Adversarial Attacks on Vision Transformers, AAAI 2022"

    share: float = knob(130 / 196, "Part of the patches shown per step.", low=0.05, high=1)
    norm: float = knob(
        0.1, "Weight of the perturbation's length.", label="Length weight", low=0, high=1
    )
    pna: bool = knob(True, "Cut the gradient through attention maps too.", label="With PNA")

    def build(self, spec: Spec) -> Chain:
        objective = Weighted(((1.0, CrossEntropy()), (self.norm, PerturbationNorm())))
        return replace(
            self.mi_fgsm(),
            objective=objective,
            view=PatchOut(self.share),
            rules=pay_no_attention(spec) if self.pna else (),
        )
