"""The report that stands on the page before anyone presses Run: its default run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from demo.defend.message import message
from demo.defend.trial import STEPS, drive, offered, question
from demo.kit import picture
from demo.kit import stored as files
from demo.kit.reporting import Default
from demo.kit.stored import Message

TELLING = "church"


def source() -> str:
    """The picture that stands there first; empty where there is none."""
    here = {each.id for each in picture.listed()}
    return picture.SAMPLE + TELLING if TELLING in here else picture.first()


def settings(weights: Path | None = None) -> dict[str, Any] | None:
    """A sample that tells the control from the others, and every model that is offered."""
    here = offered(weights)
    if not source() or not here:
        return None
    return {
        "source": source(),
        "model": [name for _, name in here],
        "control": True,
        "attack": "pgd",
        "steps": STEPS,
    }


def figures(message: Message) -> dict[str, float]:
    """What the models make of the clean picture: all that does not hang on how an attack goes."""
    clean = {each["title"]: each["tries"][0]["p"] for each in message["models"]}
    return files.numbers({"ladder": message["ladder"], "clean": clean})


DEFAULT = Default("first_defend.json", settings, question, drive, message)
stored, made_of = DEFAULT.stored, DEFAULT.made_of
RESULT = DEFAULT.result(__name__, figures)
