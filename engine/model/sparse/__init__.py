"""Vision transformers that spend less on easy images: ATS, A-ViT and AdaViT on any plain timm ViT.

model = SparseViT(backbone, ATS())
logits, trace = model.trace(normalised_images)
cost.macs(trace), cost.utilisation(trace)
"""

from engine.model.sparse.adavit import AdaViT
from engine.model.sparse.ats import ATS
from engine.model.sparse.avit import AViT, live_start
from engine.model.sparse.bound import Bound
from engine.model.sparse.card import constants, trained_sparsely
from engine.model.sparse.ceiling import ceiling
from engine.model.sparse.host import layout_of
from engine.model.sparse.sparse_vit import Dense, SparseViT, Sparsifier
from engine.model.sparse.topk import TopK
from engine.model.sparse.trace import (
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
    "Bound",
    "Choices",
    "Decisions",
    "Dense",
    "Halting",
    "Layout",
    "Significance",
    "SparseViT",
    "Sparsifier",
    "TopK",
    "Trace",
    "ceiling",
    "constants",
    "layout_of",
    "live_start",
    "trained_sparsely",
]
