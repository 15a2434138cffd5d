"""TRADES of the base ViT at 4/255, ten inner steps as published: a run for a GPU."""

from dataclasses import replace

from engine.train.adversarial import Trades
from engine.train.pgd import PGD
from engine.train.recipes.pgd_at import JUDGE, JUDGED, PGD_AT

TEN = PGD(eps=4 / 255, step=1 / 255, steps=10, start="near")

TRADES = replace(
    PGD_AT,
    name="trades",
    model="vit_imagenette_trades",
    title="ViT, adversarially trained (TRADES, 4/255)",
    method=Trades(TEN, JUDGE, JUDGED, beta=6.0),
)
