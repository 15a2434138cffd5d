from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from engine.attack.chain import Chain
from engine.attack.constraint import Constraint, LinfBall
from engine.attack.criterion import CostUp, Criterion
from engine.attack.objective import Weighted
from engine.attack.quant_objective import (
    Form,
    KeepLogits,
    OutlierColumns,
    RaiseOutliers,
    Smoothness,
)
from engine.attack.recipe import Recipe
from engine.attack.region import Region, Where
from engine.attack.update import Update, chain, scale, shrinking, sign
from engine.core.knobs import knob
from engine.model.victim import Spec

STEP, LAST_STEP = 0.002, 1e-5
"""Where the published cosine schedule starts and ends, in pixels."""


@dataclass(frozen=True)
class QuantAttack(Recipe):
    """Outliers that cost (Baras et al., WACV 2025): fill LLM.int8() with 16-bit columns.

    x <- project(x + step_t sign(grad L)),  L = L_outliers + 50 L_class + 0.01 L_tv (spec A3), from
    the clean picture, ending with the last iterate as published; one column of one token that
    reaches the threshold makes a whole column of the product slower. It may be crafted on the float
    model (its gradient equals that of the int8 model to 5 digits) or through the int8 one: that
    is the victim it is run on.

    Departures: eps in pixels, where the published code means the normalised picture (choose so by
    `eps_space`: with std 0.5 its 16/255 are 8/255 here); 300 steps whose cosine ends with the run,
    instead of 3000 with a restart at 1000 ("restarts"); total variation, commented out at the
    published HEAD, is there and averaged. Published defaults also leave the class weight at 0 on
    the command line, and so lose the class. `form` "count" is this project's own loss.
    """

    name = "quantattack"
    title = "QuantAttack: outliers that cost"
    paper = "Baras et al., QuantAttack: Exploiting Quantization Techniques to Attack Vision Transformers, WACV 2025"

    steps: int = knob(300, "Number of gradient steps.", low=1, high=3000, main=True)
    threshold: float = knob(
        6.0, "The int8 victim's outlier threshold.", low=0.1, high=100, main=True
    )
    form: str = knob(
        "code",
        "The loss as published code, as the paper words it, or our soft count of columns.",
        label="Outlier loss",
        choices=("code", "paper", "count"),
        main=True,
    )
    class_weight: float = knob(
        50.0,
        "How strongly the clean answer is kept; 0 does not keep it.",
        low=0,
        high=1000,
        main=True,
    )
    smooth_weight: float = knob(0.01, "Weight of total variation.", low=0, high=1000)
    top: int = knob(4, "Largest values of each column that are lifted.", low=1, high=16)
    step_size: float = knob(
        0.0,
        "Size of the first step; 0 stands for 0.002, or 2.5 eps / steps where a run is short.",
        low=0,
        high=1,
        unit="1/255",
    )
    schedule: str = knob(
        "cosine",
        "Steps shrink until the end, restart every 1000 steps as published, or stay.",
        choices=("cosine", "restarts", "constant"),
    )
    eps_space: str = knob(
        "pixels",
        "Whether eps and the ball are in pixels or in the normalised picture.",
        choices=("pixels", "normalised"),
    )
    mask: str = knob(
        "everywhere",
        "Where pixels may change; corner and dots have no limit but black and white, as published.",
        choices=("everywhere", "corner", "dots"),
    )
    mask_size: int = knob(
        32, "Side of the corner square or of each dot, in pixels.", low=1, high=64
    )

    @property
    def criterion(self) -> Criterion:
        return CostUp(OutlierColumns(self.threshold))

    def build(self, spec: Spec) -> Chain:
        lift = RaiseOutliers(self.threshold, cast(Form, self.form), self.top)
        terms = (1.0, lift), (self.class_weight, KeepLogits()), (self.smooth_weight, Smoothness())
        return Chain(
            Weighted(tuple(term for term in terms if term[0])),
            chain(sign(), self._pace()),
            self._constraint(spec),
            self.steps,
            criterion=self.criterion,
        )

    def _constraint(self, spec: Spec) -> Constraint:
        if self.mask != "everywhere":
            return Region((1.0, 1.0, 1.0), cast(Where, self.mask), self.mask_size)
        if self.eps_space == "pixels":
            return LinfBall(self.eps)
        red, green, blue = spec.std
        return Region((self.eps * red, self.eps * green, self.eps * blue))

    def _pace(self) -> Update:
        first = self.step_size or max(STEP, 2.5 * self.eps / self.steps)
        if self.schedule == "constant":
            return scale(first)
        return shrinking(first, LAST_STEP, 1000 if self.schedule == "restarts" else self.steps)
