"""Adversarial training of the base ViT at 4/255, judged under PGD-20."""

from engine.train.adversarial import PGD, Robust
from engine.train.augment import Augmentation
from engine.train.recipe import HALF, Recipe

METHOD = Robust(
    inner=PGD(eps=4 / 255, step=2 / 255, steps=3),
    judge=PGD(eps=4 / 255, step=1 / 255, steps=20),
)

PGD_AT = Recipe(
    name="pgd_at",
    model="vit_imagenette_pgd_at",
    title="ViT, adversarially trained (PGD-AT, 4/255)",
    family="vit",
    task="robust",
    mean=HALF,
    std=HALF,
    method=METHOD,
    start="vit_imagenette",
    teachers=("resnet_imagenette",),
    teacher_share=0.5,
    epochs=25,
    batch=128,
    learning_rate=5e-4,
    warmup_epochs=2,
    average=0.998,
    augmentation=Augmentation(crop_area=0.6, jitter=0.1, erase=0.0, cutmix=0.0, mixup=0.0),
)
