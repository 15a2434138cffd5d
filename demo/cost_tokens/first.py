"""The report that stands in the room before anyone presses Run: its default run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from demo.cost_tokens.message import message
from demo.cost_tokens.trial import EPS, STEPS, drive, offered, question
from demo.kit import stored as files
from demo.kit.reporting import Default, usual
from demo.kit.stored import Message
from engine.attack.recipes.desparsify import DeSparsify


def settings(weights: Path | None = None) -> dict[str, Any] | None:
    """The first sample, attacked on the first model that is offered."""
    return usual(offered(weights), attack=DeSparsify.name, eps=EPS, steps=STEPS, keep=True)


def figures(message: Message) -> dict[str, float]:
    """What the model makes of the clean picture: all that does not hang on how an attack goes."""
    clean = message["seen"]["clean"]
    return files.numbers(
        {
            "dense": [message["dense"], message["formula"]],
            "clean": [clean[each] for each in ("p", "macs", "utilisation", "tokens", "keep")],
        }
    )


DEFAULT = Default("first_tokens.json", settings, question, drive, message)
stored, made_of = DEFAULT.stored, DEFAULT.made_of
RESULT = DEFAULT.result(__name__, figures)
