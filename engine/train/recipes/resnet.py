"""A small ResNet: the convolutional target of transfer attacks."""

from engine.train.classify import Classify
from engine.train.recipe import IMAGENET_MEAN, IMAGENET_STD, Recipe

RESNET = Recipe(
    name="resnet",
    model="resnet_imagenette",
    title="ResNet-18-D, narrow",
    family="cnn",
    task="classify",
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    method=Classify(),
    teachers=("vit_tiny_patch16_224", "deit_tiny_patch16_224"),
    teacher_share=0.7,
    views=20,
    learning_rate=2e-3,
    drop_path=0.05,
)
