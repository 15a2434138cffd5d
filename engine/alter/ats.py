"""A victim that drops tokens without any training: same weights, fewer tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from engine.alter.alteration import Alteration
from engine.alter.dense import sparsified
from engine.core.errors import BadKnob
from engine.core.knobs import knob
from engine.model.sparse import ATS
from engine.model.sparse.ats import Sampler, Score
from engine.model.victim import Victim


@dataclass(frozen=True)
class TokenSampling(Alteration):
    """Adaptive token sampling (`engine.model.sparse.ATS`) in every block from `first` on.

    Weights are shared. The victim's sites are those of its host, KEEP and SIGNIFICANCE.
    """

    name = "ats"
    title = "ATS"
    paper = (
        "Fayyaz et al., Adaptive Token Sampling for Efficient Vision Transformers, ECCV 2022; "
        "scores and sampler as in Yehezkel et al., DeSparsify, NeurIPS 2024"
    )

    score: str = knob(
        "concat",
        "A token's weight: the norm of its value over all heads at once, or head by head.",
        choices=("concat", "per_head"),
    )
    sampler: str = knob(
        "midpoint",
        "Levels at the middle of equal steps, or those of the published code.",
        choices=("midpoint", "reference"),
    )
    first: int = knob(
        0,
        "The first block that drops tokens, counted from 1; 0 spares the first quarter.",
        label="First block",
        low=0,
        high=48,
        main=True,
    )

    def change(self, victim: Victim) -> Victim:
        depth = victim.spec.depth
        if self.first > depth:
            raise BadKnob("First block", self.first, f"a whole number from 0 to {depth}")
        blocks = tuple(range(self.first - 1, depth)) if self.first else None
        score, sampler = cast(Score, self.score), cast(Sampler, self.sampler)
        return sparsified(victim, ATS(blocks, score=score, sampler=sampler))
