"""The comparison that stands on the page before anyone presses Run: its default question, answered
by the engine with the bundled models."""

from __future__ import annotations

import math
from pathlib import Path

from demo.kit import picture
from demo.kit import stored as files
from demo.kit.picture import Picture
from demo.kit.stored import Message, Stored, Told
from demo.why.inquiry import Inquiry, Question, drive
from demo.why.message import ended, opened
from engine.attack.recipes.tgr import TGR
from engine.core.errors import EngineError
from engine.model import zoo
from engine.papers.tgr.compare import VARIANTS, Reading
from engine.papers.tgr.effects import MEASURES

ID = "first"


def question(weights: Path | None = None) -> Question | None:
    """The first sample, attacked on the first model, shown to the other bundled classifiers."""
    here = [
        each.name
        for each in zoo.cards(weights)
        if each.source == "bundled" and each.task == "classify"
    ]
    if not picture.first() or not here:
        return None
    return Question(Picture.of(picture.first()), here[0], tuple(here[1:]), TGR(), weights=weights)


def stored(weights: Path | None = None) -> Message | None:
    """What was computed earlier, if it was with the very models that are here."""
    asked = question(weights)
    return None if asked is None else files.read(RESULT.file, made_of(asked))


def made_of(asked: Question | None = None) -> str:
    """A hash of the models' weights, the picture and the settings."""
    asked = asked or _asked()
    return files.hashed(
        asked.models,
        [picture.listed()[0].path],
        asked.weights,
        eps=asked.tgr.eps,
        steps=asked.tgr.steps,
        seed=asked.seed,
    )


def make(told: Told, steps: int | None = None) -> Message:
    """The answer to the default question, or to its first steps, as the page is told of it."""
    inquiry = Inquiry(_asked(), id=ID)
    steps = steps or inquiry.question.tgr.steps
    done = 0
    for event in drive(inquiry, patience=math.inf):
        if isinstance(event, Reading):
            done += 1
            told(done, steps * len(VARIANTS))
        if len(inquiry.rounds) == steps:
            inquiry.stop.set()
    return opened(inquiry, inquiry.found.subject) | ended(inquiry) | {"kind": "stored"}


def figures(message: Message) -> dict[str, float]:
    """Losses, probabilities and what is read of the gradients, at the first two steps of each variant."""
    return files.numbers(
        {
            f"{key} {variant}": message["report"]["attacks"][variant][key][:2]
            for key in ("loss", "probability", *MEASURES)
            for variant in VARIANTS
        }
    )


def _asked() -> Question:
    asked = question()
    if asked is None:
        raise EngineError("There is no model or no sample on this machine.")
    return asked


RESULT = Stored("first_why.json", __name__, made_of, make, lambda: make(files.silent, 2), figures)
