from __future__ import annotations

from dataclasses import dataclass

from engine.attack.chain import Chain
from engine.attack.criterion import Criterion, GapClosed
from engine.attack.objective import Weighted
from engine.attack.recipe import Recipe
from engine.attack.region import Region
from engine.attack.slow_objective import EvenAttention, Ponder, Usage
from engine.attack.sparse_objective import KeepClass, Macs, by_mechanism
from engine.attack.update import adam, chain, mean_abs
from engine.core.knobs import knob
from engine.model.sites import Site
from engine.model.victim import Spec


@dataclass(frozen=True)
class SlowFormer(Recipe):
    """SlowFormer (Navaneet et al., CVPR 2024): a patch in the corner that keeps every token busy.

    x <- project(x + Adam(grad L)) where x may change in the square at the upper left only, and there
    to any colour; L is what each mechanism was trained to lower: A-ViT's ponder cost, AdaViT's usage
    with all targets 1, and for ATS attention of the class token that is not even.

    Departures: the published patch is one for all pictures (`python -m engine universal desparsify
    --kind patch --attack slowformer` trains such); this one is made for a picture, from its own
    pixels. 64 of 224 pixels are taken as a share of the side. AdamW's weight decay is left out, for
    it pulls towards black whatever the loss says. Gradients are scaled to mean |g| = 1, which Adam
    does not feel but for its 1e-8.
    """

    name = "slowformer"
    title = "SlowFormer: a patch that keeps tokens awake"
    paper = "Navaneet et al., SlowFormer: Adversarial Attack on Compute and Energy Consumption of Efficient Vision Transformers, CVPR 2024"

    eps: float = knob(
        1.0,
        "Largest change of any pixel of the patch; 1, as published, allows any colour.",
        label="Budget eps",
        low=0,
        grain=1 / 255,
        high=1,
        unit="1/255",
        main=True,
    )
    steps: int = knob(100, "Number of gradient steps.", low=1, high=3000, main=True)
    patch: float = knob(
        64 / 224, "Side of the patch as a share of the picture's.", low=0, high=1, main=True
    )
    lam: float = knob(
        0.0,
        "How strongly the clean answer is kept; 0, as published, does not keep it.",
        label="Class weight",
        low=0,
        high=1000,
        main=True,
    )
    step_size: float = knob(
        51 / 255, "Adam's step; 0.2 is published for A-ViT.", low=0, high=1, unit="1/255"
    )

    @property
    def criterion(self) -> Criterion:
        return GapClosed(Macs())

    def build(self, spec: Spec) -> Chain:
        losses = EvenAttention(), Ponder(), Usage()
        terms = (
            (1.0, by_mechanism(losses, spec)),
            (self.lam, KeepClass(sites=spec.sites & {Site.VOTE})),
        )
        return Chain(
            Weighted(tuple(term for term in terms if term[0])),
            chain(mean_abs(), adam(self.step_size)),
            Region((self.eps, self.eps, self.eps), "corner", round(self.patch * spec.input_size)),
            self.steps,
            criterion=self.criterion,
        )
