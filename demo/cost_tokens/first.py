"""The report that stands in the room before anyone presses Run: its default run.

Its times are of the machine that made it, not of the one that shows it: the page says so, and gives
that machine's name.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from demo.cost_tokens.message import message
from demo.cost_tokens.trial import EPS, STEPS, Trial, drive, offered, question
from demo.kit import picture
from demo.kit import stored as files
from demo.kit.stored import Message, Stored, Told
from engine.attack.recipes.desparsify import DeSparsify
from engine.core.errors import EngineError
from engine.papers.desparsify.compare import Report, Working


def settings(weights: Path | None = None) -> dict[str, Any] | None:
    """The first sample, attacked on the first model that is offered."""
    here = offered(weights)
    if not picture.first() or not here:
        return None
    return {
        "source": picture.first(),
        "model": here[0][1],
        "attack": DeSparsify.name,
        "eps": EPS,
        "steps": STEPS,
        "keep": True,
    }


def stored(weights: Path | None = None) -> Message | None:
    """What was computed earlier, if it was with the very model and pictures that are here.

    Raises StoredDamaged where the file is no such thing: the page starts without it, and says so.
    """
    asked = settings(weights)
    if asked is None:
        return None
    found = files.read(RESULT.file, _hashed(asked, weights))
    if RESULT.file in files.problems:
        raise StoredDamaged(files.problems[RESULT.file])
    return found and found | {"earlier": True}


class StoredDamaged(EngineError):
    """A stored report that is cut or is something else."""


def made_of() -> str:
    """A hash of the model's weights, of all samples, its batch-mates, and of the settings."""
    return _hashed(_settings(), None)


def make(told: Told) -> Message:
    """The default run, as the board is told of its end."""
    trial = Trial(question(_settings(), None))
    for event in drive(trial, patience=math.inf):
        if isinstance(event, Working):
            told(event.step, event.steps)
    assert trial.report is not None
    return message(trial, trial.report)


def part() -> Message:
    """The same without its attack's end: the report of a single step."""
    trial = Trial(question(_settings() | {"steps": 1}, None))
    for event in drive(trial):
        if isinstance(event, Report):
            return message(trial, event)
    raise AssertionError("no report")


def figures(message: Message) -> dict[str, float]:
    """What the model makes of the clean picture: all that does not hang on how an attack goes."""
    clean = message["seen"]["clean"]
    return files.numbers(
        {
            "dense": [message["dense"], message["formula"]],
            "clean": [clean[each] for each in ("p", "macs", "utilisation", "tokens", "keep")],
        }
    )


def _settings() -> dict[str, Any]:
    found = settings()
    if found is None:
        raise EngineError("There is no model or no sample on this machine.")
    return found


def _hashed(asked: dict[str, Any], weights: Path | None) -> str:
    shown = [each.path for each in picture.listed()]
    return files.hashed([asked["model"]], shown, weights, **asked)


RESULT = Stored("first_tokens.json", __name__, made_of, make, part, figures)
