"""The report that stands in the room before anyone presses Run: its default run."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from demo.defend_tokens.message import message
from demo.defend_tokens.trial import COUNT, EPS, HERE, STEPS, TRAINING, drive, offered, question
from demo.kit import stored as files
from demo.kit.reporting import Default, usual
from demo.kit.stored import Message
from engine.core.errors import EngineError
from engine.model import tokenfile


def settings(weights: Path | None = None) -> dict[str, Any] | None:
    """The first sample, on the first model that is offered, with the tokens that are here."""
    asked = usual(
        offered(weights), tokens=HERE, count=COUNT, training=TRAINING, eps=EPS, steps=STEPS
    )
    names = (tokenfile.OWN, tokenfile.SURROGATE)
    return asked and asked | {"made_with": [_digest(each, asked["model"]) for each in names]}


def _digest(file: str, model: str) -> str:
    """Of the tokens themselves; "" where there are none."""
    try:
        values = tokenfile.find(file, model).values
    except EngineError:
        return ""
    return hashlib.sha256(values.numpy().tobytes()).hexdigest()


def figures(message: Message) -> dict[str, float]:
    """What both models make of the clean picture: all that does not hang on how attacks go."""
    clean = message["clean"]
    told = {each: clean[each] for each in ("public", "private", "inside")}
    return files.numbers(told | {"even": message["even"]})


DEFAULT = Default("first_defend_tokens.json", settings, question, drive, message)
stored, made_of = DEFAULT.stored, DEFAULT.made_of
RESULT = DEFAULT.result(__name__, figures, DEFAULT.short)
