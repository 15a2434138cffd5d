"""Fast adversarial training of the base ViT at 4/255, judged under PGD-20.

One inner step of 1.25 eps (Wong et al., 2020) and three passes over the pictures, from clean
weights: what two CPU cores can do in an hour.
"""

from engine.train.adversarial import Robust
from engine.train.augment import Augmentation
from engine.train.pgd import PGD
from engine.train.recipe import HALF, Recipe

JUDGE = PGD(eps=4 / 255, step=1 / 255, steps=20)
JUDGED = 500

PGD_AT = Recipe(
    name="pgd_at",
    model="vit_imagenette_pgd_at",
    title="ViT, adversarially trained (PGD-AT, 4/255)",
    family="vit",
    task="robust",
    mean=HALF,
    std=HALF,
    method=Robust(PGD(eps=4 / 255, step=5 / 255, steps=1), JUDGE, JUDGED),
    start="vit_imagenette",
    epochs=12,
    epoch_pictures=2368,
    batch=64,
    learning_rate=4e-4,
    warmup_epochs=2,
    average=0.995,
    augmentation=Augmentation(crop_area=0.6, jitter=0.1, erase=0.0, cutmix=0.0, mixup=0.0),
)
