"""The report that stands on the page before anyone presses Run: the page's default run.

Its times are of the machine that made it, not of the one that shows it: the page says so, and gives
that machine's name.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from demo.cost.message import message
from demo.cost.trial import CALIBRATE, EPS, STEPS, Trial, drive, question
from demo.kit import picture
from demo.kit import stored as files
from demo.kit.stored import Message, Stored, Told
from engine.core.errors import EngineError
from engine.model import zoo
from engine.papers.quant.compare import Working
from engine.papers.quant.threshold import PUBLISHED, SHARE


def settings(weights: Path | None = None) -> dict[str, Any] | None:
    """The first sample, attacked on the first bundled model at its calibrated threshold."""
    here = [each.name for each in zoo.cards(weights) if each.source == "bundled"]
    if not picture.first() or not here:
        return None
    return {
        "source": picture.first(),
        "model": here[0],
        "attack": "count",
        "eps": EPS,
        "steps": STEPS,
        "calibrate": CALIBRATE,
        "share": SHARE * 100,
        "threshold": PUBLISHED,
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
    """A hash of the model's weights, of all samples, which calibrate it, and of the settings."""
    return _hashed(_settings(), None)


def make(told: Told) -> Message:
    """The default run, as the board is told of its end."""
    trial = Trial(question(_settings(), None))
    for event in drive(trial, patience=math.inf):
        if isinstance(event, Working):
            told(event.step, event.steps)
    assert trial.report is not None
    return message(trial, trial.report)


def figures(message: Message) -> dict[str, float]:
    """Thresholds, columns clean and in the first steps, and what each countermeasure does to the
    clean picture: all that does not hang on how a long attack ends."""
    moved = message["sweep"]
    at = moved["at"]
    return files.numbers(
        {
            "threshold": message["threshold"],
            "clean": [message["seen"]["clean"][key] for key in ("p", "cost", "compact")],
            "columns": [moved["totals"]["clean"][at], message["bins"]["own"]["clean"]],
            "batches": [each["clean"][at] for each in moved["batches"]],
            "columns at": {str(step): columns for step, columns in message["path"][:3]},
            "countermeasure": {
                each["name"]: [each["clean"], each["error"]] for each in message["defences"]
            },
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


RESULT = Stored("first_cost.json", __name__, made_of, make, lambda: make(files.silent), figures)
