"""Tiny random victims and pictures, the same in every process, and one process's share of the work."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from timm.models.resnet import BasicBlock, ResNet
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from engine.attack.attack import Watch
from engine.attack.catalog import recipe
from engine.evaluate.progress import Progress
from engine.evaluate.transfer import Cell, Experiment, Matrix, Picture, transfer
from engine.model.families import adapt
from engine.model.sites import Site
from engine.model.victim import Spec, Victim

MLP = Watch(gradients=frozenset({Site.MLP_OUT}))
CLASSES = ("tench", "church", "golf ball", "parachute")


def vit(size: int = 32, heads: int = 2, classes: int = len(CLASSES)) -> nn.Module:
    return VisionTransformer(
        img_size=size, patch_size=8, embed_dim=16, depth=2, num_heads=heads, num_classes=classes
    )


def cnn() -> nn.Module:
    return ResNet(
        BasicBlock, (1, 1, 1, 1), channels=(8, 8, 16, 16), stem_width=8, num_classes=len(CLASSES)
    )


def victim(
    name: str,
    module: nn.Module,
    size: int,
    classes: tuple[str, ...] = CLASSES,
    dtype: torch.dtype = torch.float64,
) -> Victim:
    """Weights large enough that pictures differ; double, so that sums do not hang on their order."""
    gen = torch.Generator().manual_seed(sum(map(ord, name)))
    for key, parameter in module.named_parameters():
        if parameter.ndim > 1:
            fan = parameter[0].numel()
            parameter.data = torch.randn(parameter.shape, generator=gen) * (1.5 / fan**0.5)
        elif key.endswith("bias"):
            parameter.data = torch.randn(parameter.shape, generator=gen) * 0.1
    family, blocks = adapt(module, size)
    half = (0.5, 0.5, 0.5)
    spec = Spec(name, family.name, classes, size, half, half, blocks, family.sites)
    return Victim(spec, module.to(dtype), family)


@cache
def load(name: str) -> Victim:
    return {
        "vit_a": lambda: victim(name, vit(), 32),
        "vit_b": lambda: victim(name, vit(heads=4), 32),
        "vit_large": lambda: victim(name, vit(size=48), 48),
        "cnn": lambda: victim(name, cnn(), 32),
    }[name]()


def pictures(count: int = 12) -> tuple[Picture, ...]:
    """Smooth random pictures, half labelled as vit_a sees them, the rest as the others do."""
    from engine.data.decode import fit
    from engine.evaluate.judge import predict

    gen = torch.Generator().manual_seed(5)
    coarse = torch.rand(count, 3, 5, 5, generator=gen)
    fine = nn.functional.interpolate(coarse, (32, 32), mode="bilinear", align_corners=False)
    arrays = (fine * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    images = [Image.fromarray(each) for each in arrays]
    pixels = torch.stack([fit(each, 32) for each in images])
    labels = predict(load("vit_a"), pixels)
    for place, other in enumerate(("vit_b", "vit_large", "cnn")):
        labels[place::6] = predict(load(other), pixels[place::6])
    return tuple(Picture(each, CLASSES[label]) for each, label in zip(images, labels, strict=True))


def experiment(**changes: Any) -> Experiment:
    recipes = (recipe("pgd", steps=3), recipe("tgr", steps=2))
    parts = {
        "pictures": pictures(),
        "sources": ("vit_a", "vit_b"),
        "recipes": recipes,
        "targets": ("vit_a", "vit_large", "cnn"),
        "batch": 4,
    }
    return Experiment(**(parts | changes))


def finish(events: Iterator[Progress | Matrix]) -> Matrix:
    *_, last = events
    assert isinstance(last, Matrix)
    return last


def plain(cells: tuple[Cell, ...]) -> list[list[Any]]:
    """Cells as JSON gives them back."""
    return [
        [c.source, c.recipe.name, c.target, list(c.right), list(c.survived)]
        for c in sorted(cells, key=lambda c: (c.source, c.recipe.name, c.target))
    ]


def work(out: Path, keep: Path | None, killed_after: int, world: dict[str, str]) -> None:
    """One process's share, as torchrun would start it; killed after so many events, if any."""
    torch.set_num_threads(1)
    os.environ.update(world)
    for count, event in enumerate(transfer(experiment(), load, keep)):
        if killed_after and count == killed_after:
            os.kill(os.getpid(), signal.SIGKILL)
        if isinstance(event, Matrix):
            out.write_text(json.dumps(plain(event.cells)), encoding="utf-8")
