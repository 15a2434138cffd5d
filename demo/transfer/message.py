"""What the heat map is told: every message is the whole picture, so that none can be missed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from demo.transfer.findings import Mean, Row, caution, findings
from demo.transfer.trial import Trial, card
from engine.alter.catalog import ON
from engine.alter.ensemble import members
from engine.attack.recipe import Recipe
from engine.attack.recipes.mifgsm import MIFGSM
from engine.evaluate.interval import Estimate, Proportion
from engine.evaluate.jury import Jury
from engine.evaluate.transfer import Cell, Experiment, Matrix
from engine.evaluate.words import apart
from engine.model.titles import shorts

FRAME, RUNNING, DONE = "frame", "running", "done"
Shown = dict[str, Any]


def message(trial: Trial, kind: str = RUNNING) -> Shown:
    """The trial as it stands. Rates come as [value, low, high, count, of]."""
    asked = trial.experiment
    made = frame(asked, trial.weights)
    made |= {
        "kind": kind,
        "run": trial.id,
        "of": f"Your run: {trial.labelled.words}",
        "settings": settings(trial),
        "file": trial.stem,
        "judged": trial.judged,
    }
    for row, key in zip(made["rows"], _rows(asked), strict=True):
        cells = [trial.found.get((*key, target)) for target in asked.targets]
        row |= _row(cells, asked.targets, key[0])
    if kind == DONE:
        means = [mean for source in asked.sources for mean in _means(trial, source)]
        for row, mean in zip(made["rows"], means, strict=True):
            row["mean"] = mean and _mean(mean)
        pairs = zip(made["rows"], means, strict=True)
        rows = [Row(row["short"], row["attack"], mean) for row, mean in pairs if mean]
        made["findings"] = findings(rows, trial.judged)
    return made


def frame(asked: Experiment, weights: Path | None) -> Shown:
    """Rows and columns of a map in which nothing is found yet."""
    titles = {name: _title(name, weights) for name in asked.models}
    brief = shorts(titles)
    return {
        "kind": FRAME,
        "run": "",
        "pictures": len(asked.pictures),
        "caution": caution(len(asked.pictures)),
        "columns": [{"name": t, "short": brief[t], "title": titles[t]} for t in asked.targets],
        "rows": [
            {
                "source": source,
                "members": members(source),
                "short": joined(source, brief),
                "title": joined(source, titles),
                "attack": attack(recipe),
                **_row([None] * len(asked.targets), asked.targets, source),
            }
            for source, recipe in _rows(asked)
        ],
        "of": "",
        "settings": "",
        "findings": [],
    }


def settings(trial: Trial) -> str:
    """The budget and the seed, in one line."""
    asked = trial.experiment
    eps = sorted({each.eps for each in asked.recipes})
    steps = sorted({each.steps for each in asked.recipes})
    return (
        f"eps {' and '.join(f'{255 * each:g}' for each in eps)}/255, "
        f"{' and '.join(map(str, steps))} steps, seed {asked.seed}"
    )


def joined(source: str, words: dict[str, str]) -> str:
    """A source in words; an ensemble by its members'."""
    return " + ".join(words[each] for each in members(source))


def attack(recipe: Recipe) -> str:
    """“TGR” of “TGR: token gradients, regularised to transfer”."""
    return recipe.title.partition(":")[0]


def _title(name: str, weights: Path | None) -> str:
    _, altered, stack = name.partition(ON)
    return card(name, weights).title + f" {altered} {stack}" * bool(stack)


def _rows(asked: Experiment) -> list[tuple[str, Recipe]]:
    return [(source, recipe) for source in asked.sources for recipe in asked.recipes]


def _row(cells: Sequence[Cell | None], targets: Sequence[str], source: str) -> Shown:
    """A row's cells, on how many pictures all of them rest, and the plain mean of the other models'
    rates; none while one is missing, or where no clean picture was right."""
    others = [
        cell for cell, target in zip(cells, targets, strict=True) if target not in members(source)
    ]
    there = [cell for cell in others if cell is not None]
    whole = there if len(there) == len(others) else []
    return {
        "cells": [cell and _cell(cell) for cell in cells],
        "judged": min((len(cell.right) for cell in cells if cell is not None), default=0),
        "others": len(others),
        "plain": {
            "success": _plain([cell.success for cell in whole]),
            "papers": _plain([cell.success_with_clean_errors for cell in whole]),
        },
        "mean": None,
    }


def _plain(rates: Sequence[Proportion]) -> float | None:
    values = [each.value for each in rates]
    return None if not values or any(map(math.isnan, values)) else sum(values) / len(values)


def _jury(trial: Trial, source: str) -> Jury | None:
    """The pictures that all attacks on a source have behind them, and the targets that knew any."""
    count = trial.judged
    targets = tuple(
        target
        for target in trial.experiment.targets
        if target not in members(source)
        and count
        and any(trial.found[source, trial.experiment.recipes[0], target].right[:count])
    )
    cells = tuple(
        replace(cell, right=cell.right[:count], survived=cell.survived[:count])
        for cell in trial.cells
    )
    return Jury(Matrix(cells), source, targets) if targets else None


def _means(trial: Trial, source: str) -> list[Mean | None]:
    """For each attack made on a source: its mean over the other models, and its gain on MI-FGSM.

    The one definition of both, for the map, its sentences and the studies: see `Jury`.
    """
    recipes, jury = trial.experiment.recipes, _jury(trial, source)
    if jury is None:
        return [None] * len(recipes)
    base = next((each for each in recipes if isinstance(each, MIFGSM)), None)
    return [_of(jury, each, None if each is base else base) for each in recipes]


def _of(jury: Jury, recipe: Recipe, base: Recipe | None) -> Mean:
    found = Mean(jury.rate(recipe), len(jury.targets), jury.images, recipe.eps)
    if base is None:
        return found
    same = bool((jury.fooled(recipe) == jury.fooled(base)).all())
    gain, p = jury.gain(recipe, base), jury.p(recipe, base)
    return replace(found, on=attack(base), gain=gain, p=p, same=same)


def _mean(found: Mean) -> Shown:
    return {
        "rate": _estimate(found.rate),
        "known": found.known,
        "on": found.on,
        "gain": found.gain and _estimate(found.gain),
        "apart": found.gain is not None and apart(found.gain),
        "p": found.p,
    }


def _estimate(found: Estimate) -> list[float]:
    return [round(each, 5) for each in (found.value, found.low, found.high)]


def _cell(cell: Cell) -> Shown:
    return {
        "n": len(cell.right),
        "clean": _rate(cell.clean),
        "attacked": _rate(cell.attacked),
        "success": _rate(cell.success),
        "papers": _rate(cell.success_with_clean_errors),
        "seconds": round(cell.seconds, 3),
    }


def _rate(found: Proportion) -> list[float | int | None]:
    low, high = found.interval
    value = None if math.isnan(found.value) else round(found.value, 5)
    return [value, round(low, 5), round(high, 5), found.count, found.of]
