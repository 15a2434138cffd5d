from __future__ import annotations

from dataclasses import dataclass, replace

from engine.attack.chain import Chain
from engine.attack.places import places
from engine.attack.recipe import Momentum
from engine.attack.rule import Damp
from engine.core.knobs import knob
from engine.model.sites import Rule, Site
from engine.model.victim import Spec


@dataclass(frozen=True)
class PNA(Momentum):
    """Pay no attention (Wei et al., AAAI 2022), on MI-FGSM.

    No gradient passes through the attention map of any block, as if the map were a constant:
    queries and keys get none, values and skip connections keep theirs. The first class-attention
    block of a CaiT is left alone, as in the published code. The paper's own PNA has no momentum;
    tables that compare transfer give it MI-FGSM's, and so does this (momentum 0 gives the paper's).
    """

    name = "pna"
    title = "PNA: no gradient through attention"
    paper = "Wei et al., Towards Transferable Adversarial Attacks on Vision Transformers, AAAI 2022"

    attention: float = knob(
        0.0, "What remains of attention gradients.", label="Attention factor", low=0, high=1
    )

    def build(self, spec: Spec) -> Chain:
        return replace(self.mi_fgsm(), rules=pay_no_attention(spec, self.attention))


def pay_no_attention(spec: Spec, gamma: float = 0.0) -> tuple[Rule, ...]:
    """Rules that scale the gradient through every attention map by gamma."""
    found = places(spec, "attention", site=Site.ATTN)
    return tuple(place.confine(Damp(frozenset({place.site}), gamma)) for place in found)
