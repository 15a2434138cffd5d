from __future__ import annotations

from dataclasses import dataclass

from engine.attack.recipes.autoattack import AutoAttack
from engine.core.knobs import knob


@dataclass(frozen=True)
class AutoAttackQuick(AutoAttack):
    """AutoAttack with fewer iterations, classes and queries: for a laptop, not for a paper.

    Otherwise the standard version. What it leaves standing the standard version may still fell.
    """

    name = "autoattack_quick"
    title = "AutoAttack, quick: fewer steps, for a laptop"

    steps: int = knob(
        20, "Gradient steps of each APGD and FAB-T towards each class.", low=1, high=1000, main=True
    )
    targets: int = knob(
        3,
        "How many wrong classes APGD-T and FAB-T try, the likeliest first.",
        label="Target classes",
        low=1,
        high=9,
        main=True,
    )
    queries: int = knob(200, "How often Square asks the model.", low=1, high=10_000, main=True)
