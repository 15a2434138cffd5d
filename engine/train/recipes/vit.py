"""The base ViT: what the page opens with, and the starting point of its sparse and robust kin."""

from engine.train.classify import Classify
from engine.train.recipe import HALF, Recipe

VIT = Recipe(
    name="vit",
    model="vit_imagenette",
    title="ViT with a convolutional stem",
    family="vit",
    task="classify",
    mean=HALF,
    std=HALF,
    method=Classify(),
    teachers=("vit_tiny_patch16_224", "deit_tiny_patch16_224"),
    teacher_share=0.7,
    views=20,
    drop_path=0.05,
)
