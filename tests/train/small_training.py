"""A training run small enough for a test: two classes of 24 drawn pictures, a thumbnail of a ViT.

Run as a script it is `python -m engine.train` with that ViT in place of the bundled ones, so that
tests can kill it or start several processes of it.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from engine.train import loop, recipes
from engine.train.classify import Classify
from engine.train.recipe import HALF, Recipe

SIZE = 32

RECIPE = Recipe(
    name="small",
    model="small_vit",
    title="A thumbnail of a ViT",
    family="vit",
    task="classify",
    mean=HALF,
    std=HALF,
    size=SIZE,
    method=Classify(),
    epochs=3,
    batch=8,
    warmup_epochs=1,
    drop_path=0.1,
)


def small_vit(name: str, *, drop_path: float = 0.0) -> nn.Module:
    return VisionTransformer(
        img_size=SIZE,
        patch_size=8,
        num_classes=2,
        embed_dim=16,
        depth=3,
        num_heads=2,
        drop_path_rate=drop_path,
    )


def write_pictures(folder: Path) -> Path:
    """Dark and bright noise: two classes a network can tell apart within a few steps."""
    generator = torch.Generator().manual_seed(0)
    for split, count in (("train", 12), ("val", 4)):
        for name, level in (("dark", 60), ("bright", 160)):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                noise = torch.randint(0, 60, (SIZE, SIZE, 3), generator=generator) + level
                picture = Image.fromarray(noise.to(torch.uint8).numpy())
                picture.save(folder / split / name / f"{number}.png")
    return folder


def shrink(patch: object = setattr) -> None:
    """Put the thumbnail where the loop looks for bundled architectures."""
    patch(loop, "build", small_vit)  # type: ignore[operator]


if __name__ == "__main__":
    torch.set_num_threads(1)
    shrink()
    recipes.RECIPES["small"] = replace(RECIPE, drop_path=float(os.environ.get("DROP_PATH", "0.1")))
    from engine.train.__main__ import main

    sys.exit(main())
