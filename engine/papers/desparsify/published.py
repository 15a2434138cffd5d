"""What the paper reports (Table 1): DeiT-S on ImageNet, 16/255, GMACs of a picture; dense 4.6."""

from __future__ import annotations

from collections.abc import Mapping

DENSE = 4.6
GMACS: Mapping[str, Mapping[str, float]] = {
    "ATS": {
        "clean": 3.09,
        "noise": 3.10,
        "pgd": 3.07,
        "sponge": 3.06,
        "desparsify": 4.20,
        "ensemble": 3.83,
        "class-universal": 3.40,
        "universal": 3.31,
        "patch": 3.68,
    },
    "AdaViT": {
        "clean": 2.25,
        "noise": 2.26,
        "pgd": 2.49,
        "sponge": 2.24,
        "desparsify": 3.27,
        "ensemble": 3.16,
        "class-universal": 2.94,
        "universal": 2.71,
        "patch": 3.00,
    },
    "A-ViT": {
        "clean": 3.57,
        "noise": 3.56,
        "pgd": 3.64,
        "sponge": 3.27,
        "desparsify": 4.60,
        "ensemble": 4.52,
        "class-universal": 4.07,
        "universal": 3.85,
        "patch": 4.60,
    },
}


def gap(mechanism: str, name: str) -> float | None:
    """The share of the dense gap that an attack closes there; None of what it does not report.

    (C - C_clean) / (C_dense - C_clean) of the printed figures.
    """
    found = GMACS.get(mechanism, {})
    if name not in found:
        return None
    return (found[name] - found["clean"]) / (DENSE - found["clean"])
