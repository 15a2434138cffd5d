"""PiT: tokens are pooled between three stages, so attention maps differ in size by depth."""

from engine.train.classify import Classify
from engine.train.recipe import IMAGENET_MEAN, IMAGENET_STD, Recipe

PIT = Recipe(
    name="pit",
    model="pit_imagenette",
    title="PiT, a pooling ViT",
    family="pit",
    task="classify",
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    method=Classify(),
    teachers=("vit_tiny_patch16_224", "deit_tiny_patch16_224"),
    teacher_share=0.7,
    views=20,
    drop_path=0.05,
)
