"""A DeiT with a distillation token: plain linear patches, deeper, three wide heads."""

from engine.train.classify import TwoHeads
from engine.train.recipe import IMAGENET_MEAN, IMAGENET_STD, Recipe

DEIT = Recipe(
    name="deit",
    model="deit_imagenette",
    title="DeiT with a distillation token",
    family="deit",
    task="classify",
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    method=TwoHeads(),
    teachers=("vit_tiny_patch16_224", "deit_tiny_patch16_224"),
    teacher_share=0.7,
    views=20,
    drop_path=0.05,
)
