"""Visformer: convolutions first, attention later, no class token."""

from engine.train.classify import Classify
from engine.train.recipe import IMAGENET_MEAN, IMAGENET_STD, Recipe

VISFORMER = Recipe(
    name="visformer",
    model="visformer_imagenette",
    title="Visformer, a convolutional hybrid",
    family="visformer",
    task="classify",
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    method=Classify(),
    teachers=("vit_tiny_patch16_224", "deit_tiny_patch16_224"),
    teacher_share=0.7,
    views=20,
    drop_path=0.05,
)
