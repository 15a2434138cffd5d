"""A second stage for the two transformers without convolutional stem.

The first stage, taught by slow ImageNet teachers on repeated views, left both short of views: the
loss was still falling while `val` stood still. Here the trained ResNet teaches on fresh views, for
as many epochs as two CPU cores spare.
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
        teacher_share=0.8,
        views=None,
        epochs=3,
        batch=64,
        learning_rate=2.5e-4,
        warmup_epochs=0,
        average=0.995,
        drop_path=0.0,
        augmentation=Augmentation(crop_area=0.35, erase=0.0, cutmix=0.2, mixup=0.0),
    )


DEIT_FINETUNE = _second_stage(DEIT)
PIT_FINETUNE = _second_stage(PIT)
