"""A visitor's transfer experiment, driven step by step: what they asked for and what was found."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from demo.kit import controls
from demo.kit.identity import digest, weights_of
from demo.kit.job import Job
from demo.kit.labelled import Labelled
from demo.kit.loading import Loading, load
from demo.kit.scratch import Folder
from engine.alter.catalog import ON, parse_stack
from engine.alter.ensemble import JOIN
from engine.attack.catalog import RECIPES
from engine.attack.recipe import Momentum, Recipe
from engine.attack.recipes.fgsm import FGSM
from engine.attack.recipes.pgd import PGD
from engine.core.errors import BadTask
from engine.evaluate.evaluate import Evaluation, summary
from engine.evaluate.progress import Progress
from engine.evaluate.transfer import (
    Cell,
    Experiment,
    Filled,
    Matrix,
    bare,
    singles,
    table,
    transfer,
)
from engine.model import zoo
from engine.model.zoo import Card

BATCH = 4  # pictures: small, so that the map fills before one's eyes and a step is soon over
PATIENCE_SECONDS = 900.0
# The family the transfer papers compare, and the two plain attacks they all start from.
ATTACKS = tuple(kind for kind in RECIPES if issubclass(kind, Momentum) or kind in (PGD, FGSM))


Key = tuple[str, Recipe, str]


@dataclass(eq=False)
class Trial(Job):
    """One experiment of one visitor, and its cells so far by source, attack and target."""

    experiment: Experiment
    labelled: Labelled
    weights: Path | None = None
    found: dict[Key, Cell] = field(default_factory=dict[Key, Cell])
    folder: Folder = field(default_factory=Folder, repr=False)

    @property
    def outcome(self) -> tuple[Cell, ...]:
        return self.cells

    @property
    def models(self) -> tuple[str, ...]:
        """Every model that it needs, un-altered, once."""
        return tuple(dict.fromkeys(map(bare, self.experiment.models)))

    @property
    def key(self) -> str | None:
        """Of the samples; uploads are files, which may go."""
        if not self.labelled.bundled:
            return None
        return digest(self.experiment, weights_of(self.models, self.weights))

    @property
    def cells(self) -> tuple[Cell, ...]:
        """What was found, in the order source, attack, target."""
        asked = self.experiment
        order = ((s, r, t) for s in asked.sources for r in asked.recipes for t in asked.targets)
        return tuple(self.found[each] for each in order if each in self.found)

    @property
    def judged(self) -> int:
        """Pictures that every cell has judged."""
        asked = self.experiment
        count = len(asked.sources) * len(asked.recipes) * len(asked.targets)
        if len(self.found) < count:
            return 0
        return min(len(cell.right) for cell in self.found.values())

    @property
    def bytes(self) -> int:
        return sum(16 * len(cell.right) for cell in self.found.values())

    @property
    def stem(self) -> str:
        """How files of it are called: pictures, sources, attacks, budget and seed."""
        asked = self.experiment
        sources = asked.sources if len(asked.sources) <= 2 else (f"{len(asked.sources)}-models",)
        attacks = dict.fromkeys(each.name for each in asked.recipes)
        eps = dict.fromkeys(f"{255 * each.eps:g}" for each in asked.recipes)
        return (
            f"transfer_{len(asked.pictures)}-pictures_{'-'.join(sources)}_{'-'.join(attacks)}"
            f"_eps{'-'.join(eps)}_seed{asked.seed}"
        )

    def files(self) -> tuple[Path, Path]:
        """CSV and JSON of what was found, written now."""
        csv, report = (self.folder.path / f"{self.stem}.{kind}" for kind in ("csv", "json"))
        csv.write_text(table(self.cells), encoding="utf-8")
        report.write_text(json.dumps(self.report(), indent=2) + "\n", encoding="utf-8")
        return csv, report

    def report(self) -> dict[str, Any]:
        """What was found as plain data, as `python -m engine evaluate --json` gives it."""
        cards = tuple(card(name, self.weights) for name in self.experiment.models)
        return summary(Evaluation(self.experiment, cards, Matrix(self.cells)))


def experiment(
    labelled: Labelled,
    sources: Sequence[str],
    recipes: Sequence[Recipe],
    targets: Sequence[str],
    seed: int,
    together: bool = False,
) -> Experiment:
    """Every source is judged, too: that is the white-box cell; `together` joins them to one.

    Raises BadTask in plain words.
    """
    if not sources:
        raise BadTask("There is no source model.", "Choose the model that the attacks are made on.")
    if not recipes:
        raise BadTask("There is no attack.", "Choose at least one.")
    judges = singles(sources, targets)
    made_on = (JOIN.join(sources),) if together else tuple(sources)
    return Experiment(labelled.pictures, made_on, tuple(recipes), judges, seed, BATCH)


def card(name: str, weights: Path | None) -> Card:
    """What is known of the model of that name, un-altered; raises UnknownName, also of an alteration."""
    parse_stack(name.partition(ON)[2])
    return zoo.card(bare(name), weights)


def at_one_budget(names: Sequence[str], eps: Any, steps: Any) -> tuple[Recipe, ...]:
    """The attacks at the same eps (in 255ths) and steps; raises BadKnob, UnknownName."""
    return tuple(controls.chosen(str(name), {"eps": eps, "steps": steps}) for name in names)


def drive(trial: Trial, patience: float = PATIENCE_SECONDS) -> Iterator[Loading | Progress]:
    """Work until the end, until it is stopped, or until patience ends; keep every cell found."""
    asked = trial.experiment
    yield from load(trial.models, trial.weights)
    limit, finished = trial.limit(patience), False
    events = transfer(asked, partial(zoo.load, weights=trial.weights))
    try:
        while not limit.over():
            event = next(events)
            if isinstance(event, Matrix):
                finished = True
                break
            if isinstance(event, Filled):
                trial.found |= {(c.source, c.recipe, c.target): c for c in event.cells}
            yield event
    finally:
        events.close()
    trial.why = limit.why(finished)
