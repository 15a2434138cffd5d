"""The masked control: the base ViT with its scores times 30, until it is right again.

The scores themselves are not learned, so that the softmax stays saturated; the base model is the
teacher.
"""

from engine.train.augment import Augmentation
from engine.train.classify import Saturated
from engine.train.recipe import HALF, Recipe

SATURATED = Recipe(
    name="saturated",
    model="vit_imagenette_saturated",
    title="ViT with saturated attention (scores times 30)",
    family="vit",
    task="classify",
    mean=HALF,
    std=HALF,
    method=Saturated(c=30.0),
    start="vit_imagenette",
    teachers=("vit_imagenette",),
    teacher_share=0.7,
    epochs=20,
    epoch_pictures=2368,
    batch=32,
    learning_rate=2e-4,
    warmup_epochs=0,
    average=0.9,
    augmentation=Augmentation(crop_area=0.6, jitter=0.1, erase=0.0, cutmix=0.0, mixup=0.0),
)
