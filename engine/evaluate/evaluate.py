"""Accuracy of models on a folder of pictures, clean and under attack, and what transfers."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from engine.alter.alteration import Stack
from engine.alter.catalog import ON, spell, spell_stack
from engine.alter.ensemble import JOIN, members
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
    bare,
    rates,
    settings,
    singles,
    title,
    transfer,
)
from engine.model import zoo
from engine.model.victim import Victim

SCHEMA = "vit-adversarial-lab/evaluation/2"


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
    alter: Stack = (),
    craft_on: Stack | None = None,
) -> Iterator[Progress | Evaluation]:
    """Attack a folder's pictures on every source; judge them there and on every target.

    `limit` takes that many pictures, even over the classes, chosen by `seed`; `alter` stands on every
    source, `craft_on` instead of all that stands there while attacks are made. Events, sharding,
    cancelling and `keep` are those of `transfer`. Raises what `transfer` and `read_folder` raise.
    """
    first = members(bare(sources[0]))[0]
    pictures = folder_pictures(folder, zoo.load(first, weights), limit, seed)
    made_on = tuple(_altered(source, alter) for source in sources)
    judges = singles(made_on, targets)
    experiment = Experiment(pictures, made_on, tuple(recipes), judges, seed, batch, craft_on)
    for event in transfer(experiment, partial(zoo.load, weights=weights), keep):
        if isinstance(event, Progress):
            yield event
        else:
            cards = tuple(zoo.card(bare(name), weights) for name in experiment.models)
            yield Evaluation(experiment, cards, event)


def _altered(source: str, stack: Stack) -> str:
    """The spelling of a source with a stack on each of its members."""
    return JOIN.join(ON.join((each, *map(spell, stack))) for each in members(source))


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
    experiment, on = done.experiment, done.experiment.craft_on
    return {
        "schema": SCHEMA,
        "images": len(experiment.pictures),
        "seed": experiment.seed,
        "crafted_on": "as judged" if on is None else spell_stack(on) or "the bare models",
        "batch": experiment.batch,
        "measured_on": "8-bit pixels; resized to another input size as floats, bicubic, antialiased",
        "intervals": "Wilson, 95 %",
        "models": [
            {
                "name": name,
                "source": card.source,
                "sha256": card.sha256,
                "input_size": card.input_size,
                "classes": card.classes,
            }
            for name, card in zip(experiment.models, done.cards, strict=True)
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
        "success_means": cell.recipe.criterion.name,
        **{name: _share(share) for name, share in rates(cell).items()},
        "crafting_seconds": cell.seconds,
    }


def _share(found: Proportion) -> dict[str, Any]:
    low, high = found.interval
    value = found.value if found.of else None
    return {"value": value, "low": low, "high": high, "count": found.count, "of": found.of}


def line(cell: Cell) -> str:
    """A cell in words."""
    found = cell.success
    low, high = found.interval
    rate = f"{found.value:.1%} [{low:.1%}, {high:.1%}] of {found.of} that were right"
    return (
        f"{cell.source} -> {cell.target}, {cell.recipe.name}: clean accuracy {cell.clean.value:.1%}, "
        f"robust accuracy {cell.attacked.value:.1%}, attack success rate "
        f"({cell.recipe.criterion.name}) {rate if found.of else 'cannot be seen here'}"
    )
