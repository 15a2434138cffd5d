"""PGD-AT and TRADES with adversarial weight perturbation, in the strengths of its authors."""

from dataclasses import replace

from engine.train.adversarial import Robust, Trades
from engine.train.awp import WeightPerturbed
from engine.train.pgd import PGD
from engine.train.recipes.pgd_at import JUDGE, JUDGED, PGD_AT
from engine.train.recipes.trades import TEN

PGD_AT_AWP = replace(
    PGD_AT,
    name="pgd_at_awp",
    model="vit_imagenette_pgd_at_awp",
    title="ViT, adversarially trained (PGD-AT with AWP, 4/255)",
    method=WeightPerturbed(
        Robust(PGD(eps=4 / 255, step=1 / 255, steps=10), JUDGE, JUDGED), gamma=0.01
    ),
)

TRADES_AWP = replace(
    PGD_AT,
    name="trades_awp",
    model="vit_imagenette_trades_awp",
    title="ViT, adversarially trained (TRADES with AWP, 4/255)",
    method=WeightPerturbed(Trades(TEN, JUDGE, JUDGED, beta=6.0), gamma=0.005, since=0.05),
)
