"""AdaViT: the base ViT learns which patches, heads and sub-layers a picture needs."""

from engine.train.augment import Augmentation
from engine.train.recipe import HALF, Recipe
from engine.train.sparse import Usage

ADAVIT = Recipe(
    name="adavit",
    model="vit_imagenette_adavit",
    title="AdaViT: patches, heads and sub-layers on demand",
    family="vit",
    task="sparsify",
    mean=HALF,
    std=HALF,
    method=Usage(tokens=0.65, heads=0.75, sublayers=0.85, weight=2.0, sampled=0.2),
    start="vit_imagenette",
    epochs=3,
    epoch_pictures=1280,
    batch=32,
    learning_rate=5e-4,
    warmup_epochs=0,
    average=0.95,
    augmentation=Augmentation(crop_area=0.5, erase=0.0, cutmix=0.0, mixup=0.0),
)
