"""A victim that drops a fixed share of its patches: the control whose cost no picture can move."""

from __future__ import annotations

from dataclasses import dataclass

from engine.alter.alteration import Alteration
from engine.alter.dense import sparsified
from engine.core.knobs import knob
from engine.model.sparse import TopK
from engine.model.victim import Victim


@dataclass(frozen=True)
class FixedRatio(Alteration):
    """Fixed-ratio pruning by class attention (`engine.model.sparse.TopK`) in three blocks.

    Weights are shared. The victim's sites are those of its host, KEEP and SIGNIFICANCE.
    """

    name = "topk"
    title = "Top-k"
    paper = (
        "after Liang et al., Not All Patches Are What You Need: Expediting Vision Transformers via "
        "Token Reorganizations (EViT), ICLR 2022, without its fused token"
    )

    keep: float = knob(
        0.7,
        "The share of the patches that each of the three blocks keeps, rounded up.",
        low=0.01,
        high=1,
        main=True,
    )

    def change(self, victim: Victim) -> Victim:
        return sparsified(victim, TopK(keep=self.keep))
