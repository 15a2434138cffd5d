from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from engine.attack.chain import Chain
from engine.attack.places import COMPONENTS, Component, Place, places
from engine.attack.recipe import Momentum
from engine.attack.rule import Damp, ExtremeHeads, ExtremePairs, ExtremeTokens
from engine.core.knobs import knob
from engine.model.sites import Rule, Site
from engine.model.victim import Spec


@dataclass(frozen=True)
class TGR(Momentum):
    """Token gradient regularisation (Zhang et al., CVPR 2023): MI-FGSM with edited gradients.

    In every block the gradients of the attention scores, the QKV output and the MLP output lose
    their k largest and k smallest tokens per channel and are scaled by a factor; the forward pass
    is untouched. `scores` edits the pre-softmax scores, which is what the published hooks really
    touch; `map` edits the attention map, as the paper describes. The MLP factor 0.5 is the
    published code's (a port quotes 0.25 for the paper). Paper budget: eps 16/255, 10 steps.

    The places in CaiT and Visformer, where the published hooks touch other tensors, are those of
    `engine.attack.places`. A ResNet has residual branches only, and the MLP's rule acts on those:
    our reading of the paper's CNN adaptation, whose definition is not public.
    """

    name = "tgr"
    title = "TGR: token gradients, regularised to transfer"
    paper = "Zhang et al., Transferable Adversarial Attacks on Vision Transformers with Token Gradient Regularization, CVPR 2023"

    k: int = knob(1, "Extreme tokens removed on each side; 0 removes none.", low=0, high=10)
    attention: float = knob(
        0.25, "What remains of attention gradients.", label="Attention factor", low=0, high=1
    )
    qkv: float = knob(0.75, "What remains of QKV gradients.", label="QKV factor", low=0, high=1)
    mlp: float = knob(0.5, "What remains of MLP gradients.", label="MLP factor", low=0, high=1)
    site: str = knob(
        "scores",
        "Where attention gradients are edited: the scores, as the published code, or the map, as the paper says.",
        label="Attention site",
        choices=("scores", "map"),
    )
    components: str = knob(
        "all",
        "Which parts of a block are regularised.",
        choices=("all", "attention", "qkv", "mlp", "attention+qkv", "attention+mlp", "qkv+mlp"),
    )
    mode: str = knob(
        "official",
        "On CaiT and Visformer: the tensors that the published hooks touch, or those of the paper's idea.",
        label="Places",
        choices=("official", "principled"),
    )

    def build(self, spec: Spec) -> Chain:
        return replace(self.mi_fgsm(), rules=self.rules(spec))

    def rules(self, spec: Spec) -> tuple[Rule, ...]:
        """The gradient rules that act in a victim; one that would change nothing is left out."""
        return tuple(
            place.confine(RULES[place.compares](place, gamma, self.k))
            for part in self.parts(spec)
            if (gamma := float(getattr(self, part))) != 1 or self.k
            for place in self.where(spec, part)
        )

    def parts(self, spec: Spec) -> tuple[Component, ...]:
        """The chosen components; of all, those that this kind of model has, if it has any."""
        if self.components != "all":
            return tuple(part for part in COMPONENTS if part in self.components.split("+"))
        had: list[Component] = [
            p for p in COMPONENTS if all(q.site in spec.sites for q in self.where(spec, p))
        ]
        return tuple(had) or COMPONENTS

    def where(self, spec: Spec, part: Component) -> tuple[Place, ...]:
        """The places of a component as `site` and `mode` have it, whether or not the model has them."""
        site = Site.SCORES if self.site == "scores" else Site.ATTN
        return places(spec, part, site=site, principled=self.mode == "principled")


def _rule(
    kind: Callable[[frozenset[Site], float, int], Rule],
) -> Callable[[Place, float, int], Rule]:
    return lambda place, gamma, k: kind(frozenset({place.site}), gamma, k)


RULES: dict[str, Callable[[Place, float, int], Rule]] = {
    "tokens": _rule(ExtremeTokens),
    "pairs": _rule(ExtremePairs),
    "heads": _rule(ExtremeHeads),
    "one": lambda place, gamma, k: Damp(frozenset({place.site}), gamma),
}
"""The regulariser for what a place compares."""
