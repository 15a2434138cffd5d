"""Accuracy of models on a folder of pictures, clean and under attack, and what transfers."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from engine.alter.ensemble import members
from engine.attack.recipe import Recipe
from engine.core import placement
from engine.data.folder import read_folder
from engine.evaluate.interval import Proportion
from engine.evaluate.progress import Progress
from engine.evaluate.transfer import (
    Cell,
    Experiment,
    Matrix,
    Picture,
    settings,
    singles,
    title,
    transfer,
)
from engine.model import zoo
from engine.model.victim import Victim

SCHEMA = "vit-adversarial-lab/evaluation/1"


@dataclass(frozen=True)
class Evaluation:
    """A finished experiment on the models of `cards`."""

    experiment: Experiment
    cards: tuple[zoo.Card, ...]
    matrix: Matrix


def evaluate(
    folder: Path,
    sources: Sequence[str],
    recipes: Sequence[Recipe],
    targets: Sequence[str] = (),
    *,
    limit: int | None = None,
    seed: int = 0,
    batch: int = 64,
    weights: Path | None = None,
    keep: Path | None = None,
    bfloat16: bool = False,
) -> Iterator[Progress | Evaluation]:
    """Attack a folder's pictures on every source; judge them there and on every target.

    `limit` takes that many pictures, even over the classes, chosen by `seed`. Events, sharding,
    cancelling and `keep` are those of `transfer`. Raises what `transfer` and `read_folder` raise.
    """
    pictures = folder_pictures(folder, zoo.load(members(sources[0])[0], weights), limit, seed)
    judges = singles(sources, targets)
    experiment = Experiment(pictures, tuple(sources), tuple(recipes), judges, seed, batch, bfloat16)
    for event in transfer(experiment, partial(zoo.load, weights=weights), keep):
        if isinstance(event, Progress):
            yield event
        else:
            cards = tuple(zoo.card(name, weights) for name in experiment.models)
            yield Evaluation(experiment, cards, event)


def folder_pictures(
    folder: Path, victim: Victim, limit: int | None = None, seed: int = 0
) -> tuple[Picture, ...]:
    """A folder's pictures with their classes by name, as the victim names them."""
    names = victim.spec.classes
    return tuple(
        Picture(item.path, names[item.label])
        for item in read_folder(folder, names, limit=limit, seed=seed)
    )


def summary(done: Evaluation) -> dict[str, Any]:
    """The evaluation as plain data, versioned: what `--out FILE.json` holds."""
    experiment = done.experiment
    return {
        "schema": SCHEMA,
        "images": len(experiment.pictures),
        "seed": experiment.seed,
        "crafted_in": "bfloat16" if experiment.bfloat16 else "float32",
        "batch": experiment.batch,
        "measured_on": "8-bit pixels; resized to another input size as floats, bicubic, antialiased",
        "intervals": "Wilson, 95 %",
        "models": [
            {
                "name": card.name,
                "source": card.source,
                "sha256": card.sha256,
                "input_size": card.input_size,
                "classes": card.classes,
            }
            for card in done.cards
        ],
        "results": [as_data(cell) for cell in done.matrix.cells],
        "device": placement.describe(placement.device()),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "timm")},
        },
    }


def as_data(cell: Cell) -> dict[str, Any]:
    """A cell as plain data, with its intervals."""
    return {
        "source": cell.source,
        "attack": title(cell.recipe),
        "knobs": settings(cell.recipe),
        "target": cell.target,
        "white_box": cell.target in members(cell.source),
        "clean_accuracy": _share(cell.clean),
        "accuracy_under_attack": _share(cell.attacked),
        "success": _share(cell.success),
        "success_with_clean_errors": _share(cell.success_with_clean_errors),
        "crafting_seconds": cell.seconds,
    }


def _share(found: Proportion) -> dict[str, Any]:
    low, high = found.interval
    value = found.value if found.of else None
    return {"value": value, "low": low, "high": high, "count": found.count, "of": found.of}
