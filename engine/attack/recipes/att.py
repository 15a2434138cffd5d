from __future__ import annotations

from dataclasses import dataclass, replace

from engine.attack.chain import Chain
from engine.attack.places import COMPONENTS, places
from engine.attack.recipe import Momentum
from engine.attack.softening import SoftenExtremes
from engine.attack.view import SelfPacedPatchOut
from engine.core.knobs import knob
from engine.model.sites import Rule
from engine.model.victim import Spec


@dataclass(frozen=True)
class Published:
    """ATT's constants for one family: factors, attention blocks kept, importance of patches."""

    attention: float
    qkv: float
    mlp: float
    kept: float
    scale: float
    offset: float


VIT = Published(0.45, 0.7, 0.65, kept=10 / 12, scale=0.4, offset=0.4)
PUBLISHED = {
    "pit": Published(0.25, 0.6, 0.65, kept=9 / 13, scale=0.3, offset=0.45),
    "cait": Published(0.3, 1.0, 0.6, kept=4 / 25, scale=0.35, offset=0.4),
    "visformer": Published(0.4, 0.8, 0.3, kept=8 / 8, scale=0.15, offset=0.25),
}


@dataclass(frozen=True)
class ATT(Momentum):
    """Adaptive token tuning (Ming et al., NeurIPS 2024), the successor of TGR, on MI-FGSM.

    Where TGR zeroes extreme tokens, ATT multiplies them by
    f_l = clamp(gamma + lambda (1 - sqrt(Var(g_l) / Var(g_{l+1}))), 0, 1), gamma = 0.5,
    lambda = 0.01, with g_{l+1} the edited gradient of the block after. The other tokens keep the
    component's factor; attention gradients of the deepest blocks are cut (ViT-B keeps 10 of 12);
    and patches of the perturbation leave the picture as steps go by, unimportant ones first.
    Factors are the published code's per family (ViT's where none are given); other depths keep the
    same share of attention blocks. Departures: variances per picture, and see SelfPacedPatchOut.
    """

    name = "att"
    title = "ATT: adaptive factors instead of zeros"
    paper = "Ming et al., Boosting the Transferability of Adversarial Attack on Vision Transformer with Adaptive Token Tuning, NeurIPS 2024"

    gamma: float = knob(0.5, "What remains of extreme tokens at equal variances.", low=0, high=1)
    adapt: float = knob(
        0.01, "How strongly the ratio of variances moves it.", label="Lambda", low=0, high=1
    )
    patchout: bool = knob(True, "Drop patches, more of them each step.", label="With PatchOut")

    def build(self, spec: Spec) -> Chain:
        attack = replace(self.mi_fgsm(), rules=self.rules(spec))
        if not self.patchout:
            return attack
        constants = PUBLISHED.get(spec.family, VIT)
        return replace(attack, view=SelfPacedPatchOut(constants.scale, constants.offset))

    def rules(self, spec: Spec) -> tuple[Rule, ...]:
        """One rule per component; it remembers the variance of the block after."""
        constants = PUBLISHED.get(spec.family, VIT)
        found = {part: places(spec, part) for part in COMPONENTS}
        hooked = sorted(
            block
            for place in found["attention"]
            for block in place.blocks or frozenset(range(spec.depth))
        )
        cut = {"attention": frozenset(hooked[round(constants.kept * len(hooked)) :])}
        return tuple(
            SoftenExtremes(
                found[part],
                float(getattr(constants, part)),
                self.gamma,
                self.adapt,
                cut.get(part, frozenset()),
            )
            for part in COMPONENTS
        )
