"""The report that stands on the page before anyone presses Run: the page's default run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from demo.cost.message import message
from demo.cost.trial import CALIBRATE, EPS, STEPS, drive, question
from demo.kit import picture
from demo.kit import stored as files
from demo.kit.reporting import Default
from demo.kit.stored import Message
from engine.model import zoo
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


DEFAULT = Default("first_cost.json", settings, question, drive, message)
stored, made_of = DEFAULT.stored, DEFAULT.made_of
RESULT = DEFAULT.result(__name__, figures, DEFAULT.make)
