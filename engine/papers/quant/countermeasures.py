"""What can be done against QuantAttack (spec A10): int8 alterations that bound the cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from engine.alter.quantize.int8 import Int8, NetBudget, StaticInt8
from engine.alter.quantize.rescale import SmoothQuant
from engine.core.shapes import Images
from engine.model.victim import Victim


@dataclass(frozen=True)
class Countermeasure:
    """An int8 alteration that bounds the cost: `bound` is the share it promises never to exceed."""

    name: str
    alter: Callable[[Victim], Victim]
    bound: float | None = None


def countermeasures(calibration: Images, threshold: float) -> tuple[Countermeasure, ...]:
    """What can be done about it (spec A10), calibrated on clean pictures where it has to be."""
    return (
        Countermeasure("budget of 1 % per layer", Int8(threshold, budget=0.01), 0.01),
        Countermeasure(
            "budget of 0.5 % of the net", NetBudget(calibration, threshold, 0.005), 0.005
        ),
        Countermeasure("clipping under the threshold", Int8(threshold, clip=threshold * 0.99), 0.0),
        Countermeasure("no decomposition", Int8(0.0), 0.0),
        Countermeasure("static int8", StaticInt8(calibration), 0.0),
        Countermeasure(
            "SmoothQuant", lambda victim: Int8(threshold)(SmoothQuant(calibration)(victim))
        ),
    )
