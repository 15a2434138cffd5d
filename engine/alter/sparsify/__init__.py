"""Vision transformers that spend less on easy images: ATS, A-ViT and AdaViT on any plain timm ViT.

model = SparseViT(backbone, ATS())
logits, trace = model.trace(normalised_images)
cost.macs(trace), cost.utilisation(trace)
"""

from engine.alter.sparsify.adavit import AdaViT
from engine.alter.sparsify.ats import ATS
from engine.alter.sparsify.avit import AViT, live_start
from engine.alter.sparsify.host import layout_of
from engine.alter.sparsify.sparse_vit import Dense, SparseViT, Sparsifier
from engine.alter.sparsify.trace import (
    Choices,
    Decisions,
    Halting,
    Layout,
    Significance,
    Trace,
)

__all__ = [
    "ATS",
    "AViT",
    "AdaViT",
    "Choices",
    "Decisions",
    "Dense",
    "Halting",
    "Layout",
    "Significance",
    "SparseViT",
    "Sparsifier",
    "Trace",
    "layout_of",
    "live_start",
]
