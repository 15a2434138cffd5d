"""MART of the base ViT at 4/255, ten inner steps as published: a run for a GPU."""

from dataclasses import replace

from engine.train.adversarial import Mart
from engine.train.recipes.pgd_at import JUDGE, JUDGED, PGD_AT
from engine.train.recipes.trades import TEN

MART = replace(
    PGD_AT,
    name="mart",
    model="vit_imagenette_mart",
    title="ViT, adversarially trained (MART, 4/255)",
    method=Mart(TEN, JUDGE, JUDGED, beta=6.0),
    smoothing=0.0,
)
