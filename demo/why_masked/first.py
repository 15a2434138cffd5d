"""The report that stands in the room before anyone presses Run: its default run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from demo.kit import stored as files
from demo.kit.reporting import Default, usual
from demo.kit.stored import Message
from demo.why_masked.message import message
from demo.why_masked.trial import EPS, PER, STEPS, drive, offered, question


def settings(weights: Path | None = None) -> dict[str, Any] | None:
    """The first sample, on the first model that is offered."""
    return usual(offered(weights), eps=EPS, steps=STEPS, per=next(iter(PER)))


def figures(message: Message) -> dict[str, float]:
    """What the model as it is makes of the clean picture: all that does not hang on how attacks go."""
    lowest = message["rungs"][0]
    return files.numbers(
        {each: lowest[each] for each in ("p", "norms", "factors", "path")}
        | {"gaps": lowest["gaps"]["clean"]}
    )


DEFAULT = Default("first_masked.json", settings, question, drive, message)
stored, made_of = DEFAULT.stored, DEFAULT.made_of
RESULT = DEFAULT.result(__name__, figures, DEFAULT.short)
