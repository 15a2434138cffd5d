from __future__ import annotations

from dataclasses import dataclass, replace

from engine.attack.chain import Chain
from engine.attack.recipe import Momentum
from engine.attack.rule import Damp
from engine.core.knobs import knob
from engine.model.sites import Site
from engine.model.victim import Spec


@dataclass(frozen=True)
class SGM(Momentum):
    """Skip gradient method (Wu et al., ICLR 2020) in its ViT form, on MI-FGSM.

    The gradient through every MLP branch is multiplied by gamma = 0.5, so that more of it runs
    along the skip connections; the QKV output may be damped too (off in the published ViT code).
    Departure: that code's SGM also cuts the attention map, so it is PNA + SGM; this is SGM alone.
    """

    name = "sgm"
    title = "SGM: gradients prefer the skip connections"
    paper = "Wu et al., Skip Connections Matter, ICLR 2020; ViT form: Wei et al., AAAI 2022"

    mlp: float = knob(0.5, "What remains of MLP gradients.", label="MLP factor", low=0, high=1)
    qkv: float = knob(1.0, "What remains of QKV gradients.", label="QKV factor", low=0, high=1)

    def build(self, spec: Spec) -> Chain:
        del spec
        factors = ((Site.MLP_OUT, self.mlp), (Site.QKV, self.qkv))
        rules = tuple(Damp(frozenset({site}), gamma) for site, gamma in factors if gamma != 1)
        return replace(self.mi_fgsm(), rules=rules)
