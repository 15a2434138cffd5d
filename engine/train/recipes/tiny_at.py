"""A tiny ViT at 32 px, adversarially trained from scratch: small enough for several seeds on a CPU.

What the pairs of the attention-scaling claims are trained by, with and without `--aas-every`.
"""

from dataclasses import replace

from engine.train.adversarial import Robust
from engine.train.pgd import PGD
from engine.train.recipes.pgd_at import JUDGE, JUDGED, PGD_AT

TINY_AT = replace(
    PGD_AT,
    name="tiny_at",
    model="tiny_imagenette_pgd_at",
    title="Tiny ViT, adversarially trained (PGD-AT, 4/255)",
    size=32,
    method=Robust(PGD(eps=4 / 255, step=5 / 255, steps=1), JUDGE, JUDGED),
    start=None,
    epochs=12,
    epoch_pictures=None,
    learning_rate=1e-3,
    warmup_epochs=1,
)
