"""A second stage for the two transformers without convolutional stem.

The first stage, taught by slow ImageNet teachers on repeated views, left both short of views: the
loss was still falling while `val` stood still. Here the trained ResNet teaches on fresh views.
"""

from dataclasses import replace

from engine.train.augment import Augmentation
from engine.train.recipe import Recipe
from engine.train.recipes.deit import DEIT
from engine.train.recipes.pit import PIT


def _second_stage(recipe: Recipe) -> Recipe:
    return replace(
        recipe,
        name=f"{recipe.name}-finetune",
        start=recipe.model,
        teachers=("resnet_imagenette",),
        teacher_share=0.5,
        views=None,
        epochs=45,
        learning_rate=7e-4,
        warmup_epochs=3,
        augmentation=Augmentation(crop_area=0.3, cutmix=0.3, mixup=0.2),
    )


DEIT_FINETUNE = _second_stage(DEIT)
PIT_FINETUNE = _second_stage(PIT)
