"""A-ViT: the base ViT learns to stop looking at patches that have said enough."""

from engine.train.augment import Augmentation
from engine.train.recipe import HALF, Recipe
from engine.train.sparse import Ponder

AVIT = Recipe(
    name="avit",
    model="vit_imagenette_avit",
    title="A-ViT: tokens that halt",
    family="vit",
    task="sparsify",
    mean=HALF,
    std=HALF,
    method=Ponder(ponder=0.0035, prior=0.1, prior_block=5.0),
    start="vit_imagenette",
    epochs=3,
    epoch_pictures=1280,
    batch=32,
    learning_rate=1.5e-4,
    warmup_epochs=0,
    average=0.95,
    augmentation=Augmentation(crop_area=0.5, erase=0.0, cutmix=0.0, mixup=0.0),
)
