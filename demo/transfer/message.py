"""What the heat map is told: every message is the whole picture, so that none can be missed."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from demo.transfer.trial import Trial
from engine.alter.ensemble import members
from engine.attack.recipe import Recipe
from engine.attack.recipes.mifgsm import MIFGSM
from engine.evaluate.interval import Estimate, Proportion
from engine.evaluate.jury import Jury
from engine.evaluate.transfer import Cell, Experiment, Matrix
from engine.model import zoo

FRAME, RUNNING, DONE = "frame", "running", "done"
PAPERS_EPS = 16 / 255


def message(trial: Trial, state: str = RUNNING) -> dict[str, Any]:
    """The trial as it stands. Rates come as [value, low, high, count, of]."""
    asked = trial.experiment
    made = frame(asked, trial.weights)
    cells = {key: _cell(cell) for key, cell in trial.found.items()}
    names = [(source, recipe) for source in asked.sources for recipe in asked.recipes]
    means = [mean for source in asked.sources for mean in _means(trial, source)]
    made |= {
        "state": state,
        "run": trial.id,
        "of": f"Your run: {trial.labelled.words}",
        "settings": settings(trial),
        "file": trial.stem,
        "judged": trial.judged,
        "cells": [[cells.get((*row, t)) for t in asked.targets] for row in names],
    }
    if state == DONE:
        made["means"] = means
        made["findings"] = findings(made)
    return made


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
        "means": [None] * len(rows),
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


def findings(made: dict[str, Any]) -> list[str]:
    """What the means say: one source in full; of several, where each attack gains on MI-FGSM."""
    rows = [
        (row, mean)
        for row, mean in zip(made["rows"], made["means"], strict=True)
        if mean is not None
    ]
    by_source: dict[str, list[Row]] = {}
    for row in rows:
        by_source.setdefault(row[0]["short"], []).append(row)
    compared = [row for row in rows if row[1]["gain"] is not None]
    if len(by_source) == 1 or not compared:
        full = [_of_one(source, its, made) for source, its in by_source.items()]
        return [said for some in full for said in some]
    attacks = dict.fromkeys(row["attack"] for row, _ in compared)
    return [
        _of_many([each for each in compared if each[0]["attack"] == it], made) for it in attacks
    ]


def joined(source: str, words: dict[str, str]) -> str:
    """A source in words; an ensemble by its members'."""
    return " + ".join(words[each] for each in members(source))


def attack(recipe: Recipe) -> str:
    """“TGR” of “TGR: token gradients, regularised to transfer”."""
    return recipe.title.partition(":")[0]


def shorts(titles: dict[str, str]) -> dict[str, str]:
    """Model titles up to a comma, bracket or “with”, where that still tells them apart."""
    brief = {name: re.split(r",| with | \(", full)[0] for name, full in titles.items()}
    times = Counter(brief.values())
    return {name: short if times[short] == 1 else titles[name] for name, short in brief.items()}


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


def _means(trial: Trial, source: str) -> list[dict[str, Any] | None]:
    """For each attack made on a source: its mean over the other models, and its gain on MI-FGSM.

    The one definition of both, for the map, its sentences and the studies: see `Jury`.
    """
    recipes, jury = trial.experiment.recipes, _jury(trial, source)
    if jury is None:
        return [None] * len(recipes)
    base = next((each for each in recipes if isinstance(each, MIFGSM)), None)
    return [_mean(jury, each, None if each is base else base) for each in recipes]


def _mean(jury: Jury, recipe: Recipe, base: Recipe | None) -> dict[str, Any]:
    gain = None if base is None else jury.gain(recipe, base)
    return {
        "rate": _estimate(jury.rate(recipe)),
        "gain": gain and _estimate(gain),
        "p": None if base is None else jury.p(recipe, base),
        "same": base is not None and bool((jury.fooled(recipe) == jury.fooled(base)).all()),
        "on": base and attack(base),
        "eps": recipe.eps,
        "targets": len(jury.targets),
        "known": jury.images,
    }


Row = tuple[dict[str, Any], dict[str, Any]]  # of the map, and its mean


def _of_one(source: str, rows: Sequence[Row], made: dict[str, Any]) -> list[str]:
    count, first = made["judged"], rows[0][1]
    to = f"From {source} to {first['targets']} other model{'s' * (first['targets'] != 1)}"
    if not any(mean["rate"][0] for _, mean in rows):
        hint = " The transfer papers use 16/255." * (first["eps"] < PAPERS_EPS)
        return [f"{to}: no picture travels at this budget.{hint}"]
    rates = ", ".join(f"{row['attack']} {percent(mean['rate'])}" for row, mean in rows)
    said = [f"{to}, mean success: {rates}."]
    for row, mean in rows:
        if mean["gain"] is not None:
            pair = f"{row['attack']} against {mean['on']} from {source}"
            unsure = f"; {count} pictures do not tell them apart" * (not apart(mean["gain"]))
            said.append(
                f"{pair}: the same models fooled on each of {count} pictures."
                if mean["same"]
                else f"{pair}: {points(mean['gain'])} points (McNemar p = {mean['p']:.2g}){unsure}."
            )
    return said


def _of_many(rows: Sequence[Row], made: dict[str, Any]) -> str:
    """Where one attack gains on MI-FGSM, where it loses, where the pictures do not say."""

    def listed(words: str, kept: Sequence[Row]) -> str:
        named = [f"{row['short']} ({signed(mean['gain'][0])})" for row, mean in kept]
        return f"{words} {_and(named)}" if named else ""

    told = [each for each in rows if apart(each[1]["gain"])]
    kinds = (
        listed("it fools more when made on", [each for each in told if each[1]["gain"][0] > 0]),
        listed("it fools fewer when made on", [each for each in told if each[1]["gain"][0] < 0]),
        listed(
            "the two are not told apart when made on", [each for each in rows if each not in told]
        ),
    )
    row, mean = rows[0]
    counts = {each["targets"] for _, each in rows}
    number = f"{mean['targets']} " * (len(counts) == 1)
    return (
        f"{row['attack']} against {mean['on']}, mean success on the {number}other models (points, "
        f"{made['judged']} pictures): {'; '.join(filter(None, kinds))}."
    )


def _and(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def apart(gain: Sequence[float]) -> bool:
    """Whether an interval [value, low, high] leaves zero out."""
    return not gain[1] <= 0 <= gain[2]


def percent(found: Sequence[float]) -> str:
    value, low, high = (100 * each for each in found)
    if low == high:  # all pictures alike: resampling them says nothing of others
        return f"{value:.0f} %"
    return f"{value:.0f} % [{low:.0f}, {high:.0f}]"


def points(found: Sequence[float], digits: int = 0) -> str:
    """Shares as points: the value, and its interval in brackets."""
    value, low, high = (signed(each, digits) for each in found)
    return f"{value} [{low}, {high}]"


def signed(share: float, digits: int = 0) -> str:
    """A share as points with their sign; what rounds to zero has none."""
    rounded = f"{100 * share:+.{digits}f}"
    return rounded.replace("-", "−") if float(rounded) else rounded[1:]


def _estimate(found: Estimate) -> list[float]:
    return [round(each, 5) for each in (found.value, found.low, found.high)]


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
