"""The heat map on the page before anyone presses Run.

Twenty-odd samples are too few to tell attacks apart, so what stands there first is every bundled
classifier against every other on a folder of photographs (`val` of Imagenette for the file that
ships), at the papers' budget. The photographs do not ship, so the file also holds what a short
attack on a few samples gives: that can be made again anywhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from demo.kit import stored as files
from demo.kit.labelled import Labelled, samples
from demo.kit.stored import Message, Stored, Told
from demo.transfer.message import DONE, message
from demo.transfer.trial import Trial, at_one_budget, drive, experiment
from engine.attack.recipes.mifgsm import MIFGSM
from engine.attack.recipes.tgr import TGR
from engine.core.errors import BadTask
from engine.evaluate.evaluate import folder_pictures
from engine.evaluate.progress import Progress
from engine.model import zoo

ATTACKS = (MIFGSM.name, TGR.name)
EPS, STEPS = 16, 10
SAMPLES_AGAIN, STEPS_AGAIN = 4, 2


@dataclass(frozen=True)
class Photographs:
    """A labelled folder, how many of it (even over the classes), and what it is called."""

    folder: Path
    limit: int
    name: str


def names() -> tuple[str, ...]:
    """The bundled classifiers: each is a source and a target."""
    found = (each for each in zoo.cards() if each.source == "bundled" and each.task == "classify")
    return tuple(each.name for each in found)


@cache
def stored() -> Message | None:
    """The map that was measured earlier, if it was with the very weights that are here."""
    found = files.read(RESULT.file, made_of())
    return found and {key: value for key, value in found.items() if key != "again"}


def made_of() -> str:
    """A hash of the models' weights and of the settings."""
    return files.hashed(names(), (), None, attacks=ATTACKS, eps=EPS, steps=STEPS)


def result(photographs: Photographs | None = None) -> Stored:
    """The map, to be measured on these photographs."""

    def make(told: Told) -> Message:
        if photographs is None:
            raise BadTask(
                f"{RESULT.file} is measured on photographs.", "Name their folder: --photographs."
            )
        return _map(photographs, told) | {"again": _part()["again"]}

    return replace(RESULT, make=make)


def _map(photographs: Photographs, told: Told) -> Message:
    folder, limit, name = photographs.folder, photographs.limit, photographs.name
    found = folder_pictures(folder, zoo.load(names()[0]), limit, 0)
    made = message(_measured(Labelled(found, len(found)), STEPS, told), DONE)
    classes = len({each.label for each in found})
    made["of"] = (
        f"Measured earlier: {len(found)} photograph{'s' * (len(found) != 1)} of {name}, "
        f"{classes} class{'es' * (classes != 1)}"
    )
    return made


def _part() -> Message:
    """A short attack on a few samples: how many answers are right before and after it, by source
    and attack, over all targets."""
    few = replace(samples(), pictures=samples().pictures[:SAMPLES_AGAIN])
    trial = _measured(few, STEPS_AGAIN)
    counts: dict[str, list[int]] = {}
    for cell in trial.cells:
        so_far = counts.setdefault(f"{cell.source} {cell.recipe.name}", [0, 0])
        so_far[0] += sum(cell.right)
        so_far[1] += sum(cell.survived)
    return message(trial, DONE) | {"again": counts}


def _measured(of: Labelled, steps: int, told: Told = files.silent) -> Trial:
    recipes = at_one_budget(ATTACKS, EPS, steps)
    trial = Trial(experiment(of, names(), recipes, names(), 0), of, id="first")
    for event in drive(trial, math.inf):
        if isinstance(event, Progress):
            told(event.done, event.total)
    return trial


def figures(message: Message) -> dict[str, float]:
    """Of the few samples; one answer of twenty may lie so close that another machine differs."""
    return files.numbers(message.get("again", {}))


RESULT = Stored(
    "first_transfer.json",
    __name__,
    made_of,
    make=lambda told: result().make(told),
    part=_part,
    figures=figures,
    slack=1,
)
