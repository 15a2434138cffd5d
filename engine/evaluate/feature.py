"""What models make of saved pictures: features, answers, and how far an attack moved them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from engine.attack.attack import observe
from engine.attack.feature_objective import FEATURE, Axis, cosine, feature
from engine.core.shapes import Labels, PerExample
from engine.evaluate.judge import shown
from engine.model.victim import Victim

AT_ONCE = 16
"""Pictures in one pass: what a small machine can hold."""


@dataclass(frozen=True)
class Featured:
    """n pictures in one model, on the CPU: f(x) (n, m, D), what the head pools, and logits (n, k)."""

    values: Float[Tensor, "n m d"]
    logits: Float[Tensor, "n k"]

    @property
    def answers(self) -> Labels:
        return self.logits.argmax(1)

    def near(self, other: Featured, axis: Axis = "channel") -> PerExample:
        """cos(f(x), other's f(x)), picture by picture (n,)."""
        return cosine(self.values, other.values, axis)


def featured(victim: Victim, pixels: Tensor) -> Featured:
    """8-bit pictures (n, 3, y, x), some at a time; raises MissingSite for a model without a feature."""
    seen = [
        observe(victim, shown(part, victim).to(victim.dtype), FEATURE)
        for part in pixels.split(AT_ONCE)
    ]
    return Featured(
        torch.cat([feature(out).cpu() for out in seen]),
        torch.cat([out.logits.cpu() for out in seen]),
    )
