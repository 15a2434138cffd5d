"""What the heat map is told: every message is the whole picture, so that none can be missed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from demo.transfer.trial import Trial
from engine.alter.ensemble import members
from engine.attack.recipe import Recipe
from engine.attack.recipes.mifgsm import MIFGSM
from engine.evaluate.compare import Panel
from engine.evaluate.interval import Estimate, Proportion
from engine.evaluate.transfer import Cell, Experiment, Matrix
from engine.model import zoo

FRAME, RUNNING, DONE = "frame", "running", "done"
PAPERS_EPS = 16 / 255


def message(trial: Trial, state: str = RUNNING) -> dict[str, Any]:
    """The trial as it stands. Rates come as [value, low, high, count, of]."""
    made = frame(trial.experiment, trial.weights)
    cells = {key: _cell(cell) for key, cell in trial.found.items()}
    names = [
        (source, recipe)
        for source in trial.experiment.sources
        for recipe in trial.experiment.recipes
    ]
    return made | {
        "state": state,
        "run": trial.id,
        "measured": measured(trial),
        "cells": [[cells.get((*row, t)) for t in trial.experiment.targets] for row in names],
        "findings": findings(trial) if state == DONE else [],
    }


def frame(asked: Experiment, weights: Path | None) -> dict[str, Any]:
    """Rows and columns of a map in which nothing is found yet."""
    cards = {name: zoo.card(name, weights) for name in asked.models}
    brief = shorts({name: card.title for name, card in cards.items()})
    columns = [{"name": t, "short": brief[t], "title": cards[t].title} for t in asked.targets]
    rows = [
        {
            "source": source,
            "members": members(source),
            "short": joined(source, brief),
            "title": joined(source, {name: card.title for name, card in cards.items()}),
            "attack": attack(recipe),
        }
        for source in asked.sources
        for recipe in asked.recipes
    ]
    return {
        "state": FRAME,
        "run": "",
        "pictures": len(asked.pictures),
        "columns": columns,
        "rows": rows,
        "cells": [[None] * len(columns) for _ in rows],
        "measured": "",
        "findings": [],
    }


def measured(trial: Trial) -> str:
    """On what the numbers rest, in one line."""
    asked = trial.experiment
    eps = sorted({each.eps for each in asked.recipes})
    steps = sorted({each.steps for each in asked.recipes})
    return (
        f"{trial.labelled.words}, eps {' and '.join(f'{255 * each:g}' for each in eps)}/255, "
        f"{' and '.join(map(str, steps))} steps, seed {asked.seed}; "
        "judged on the 8-bit pixels that a saved PNG holds"
    )


def findings(trial: Trial) -> list[str]:
    """For each source: the mean over the other models, and each attack against MI-FGSM, paired."""
    asked = trial.experiment
    brief = shorts({name: zoo.card(name, trial.weights).title for name in asked.models})
    return [
        said
        for source in asked.sources
        if (panel := _panel(trial, source)) is not None
        for said in _said(panel, asked.recipes, joined(source, brief))
    ]


def joined(source: str, words: dict[str, str]) -> str:
    """A source in words; an ensemble by its members'."""
    return " + ".join(words[each] for each in members(source))


def attack(recipe: Recipe) -> str:
    """“TGR” of “TGR: token gradients, regularised to transfer”."""
    return recipe.title.partition(":")[0]


def shorts(titles: dict[str, str]) -> dict[str, str]:
    """Model titles up to the first comma or “with”, where that still tells them apart."""
    brief = {name: _brief(full) for name, full in titles.items()}
    times = Counter(brief.values())
    return {name: short if times[short] == 1 else titles[name] for name, short in brief.items()}


def _brief(full: str) -> str:
    return full.partition(",")[0].partition(" with ")[0]


def _panel(trial: Trial, source: str) -> Panel | None:
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
    return Panel(Matrix(cells), source, targets) if targets else None


def _said(panel: Panel, recipes: Sequence[Recipe], source: str) -> list[str]:
    others = f"{len(panel.targets)} other model{'s' * (len(panel.targets) != 1)}"
    if not any(bool(panel.fooled(each).any()) for each in recipes):
        hint = " The transfer papers use 16/255." * (recipes[0].eps < PAPERS_EPS)
        return [f"From {source} to {others}: no picture travels at this budget.{hint}"]
    rates = [f"{attack(each)} {_percent(panel.rate(each))}" for each in recipes]
    said = [f"From {source} to {others}, mean success: {', '.join(rates)}."]
    base = next((each for each in recipes if isinstance(each, MIFGSM)), None)
    for each in recipes:
        if base is not None and each is not base:
            said.append(_compared(panel, each, base, source))
    return said


def _compared(panel: Panel, recipe: Recipe, base: Recipe, source: str) -> str:
    gain, p = panel.gain(recipe, base), panel.p(recipe, base)
    pair = f"{attack(recipe)} against {attack(base)} from {source}"
    if bool((panel.fooled(recipe) == panel.fooled(base)).all()):
        return f"{pair}: the same models fooled on each of {panel.images} pictures."
    unsure = f"; {panel.images} pictures do not tell them apart" * (gain.low <= 0 <= gain.high)
    return f"{pair}: {_points(gain)} (McNemar p = {p:.2g}){unsure}."


def _percent(found: Estimate) -> str:
    value, low, high = (100 * each for each in (found.value, found.low, found.high))
    if low == high:  # all pictures alike: resampling them says nothing of others
        return f"{value:.0f} %"
    return f"{value:.0f} % [{low:.0f}, {high:.0f}]"


def _points(found: Estimate) -> str:
    value, low, high = (
        f"{100 * each:+.0f}".replace("-", "−") for each in (found.value, found.low, found.high)
    )
    return f"{value} points [{low}, {high}]".replace("+0", "0").replace("−0", "0")


def _cell(cell: Cell) -> dict[str, Any]:
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
