"""The comparison that stands on the page before anyone presses Run: its default exhibit, compared
by the engine with the bundled models."""

from __future__ import annotations

import math
from pathlib import Path

from demo.kit import picture
from demo.kit import stored as files
from demo.kit.picture import Picture
from demo.kit.stored import Message, Stored, Told
from demo.why.inquiry import Inquiry, drive
from demo.why.message import ended
from engine.attack.recipes.tgr import TGR
from engine.core.errors import EngineError
from engine.model import zoo
from engine.papers.paper import Exhibit
from engine.papers.tgr.compare import VARIANTS, Reading
from engine.papers.tgr.effects import MEASURES

ID = "first"


def exhibit(weights: Path | None = None) -> Exhibit | None:
    """The first sample, attacked on the first model, shown to the other bundled classifiers."""
    here = [
        each.name
        for each in zoo.cards(weights)
        if each.source == "bundled" and each.task == "classify"
    ]
    if not picture.first() or not here:
        return None
    first = Picture.of(picture.first())
    return Exhibit(first.image, first.name, here[0], tuple(here[1:]), weights=weights)


def stored(weights: Path | None = None) -> Message | None:
    """What was computed earlier, if it was with the very models that are here."""
    asked = exhibit(weights)
    return None if asked is None else files.read(RESULT.file, made_of(asked))


def made_of(asked: Exhibit | None = None) -> str:
    """A hash of the models' weights, the picture and the settings."""
    asked, tgr = asked or _asked(), TGR()
    return files.hashed(
        asked.models,
        [picture.listed()[0].path],
        asked.weights,
        eps=tgr.eps,
        steps=tgr.steps,
        seed=asked.seed,
    )


def make(told: Told, steps: int | None = None) -> Message:
    """The default comparison, or its first steps, as the page is told of it."""
    inquiry = Inquiry(_asked(), TGR(), id=ID)
    steps = steps or inquiry.tgr.steps
    done = 0
    for event in drive(inquiry, patience=math.inf):
        if isinstance(event, Reading):
            done += 1
            told(done, steps * len(VARIANTS))
        if inquiry.rounds == steps:
            inquiry.stop.set()
    assert inquiry.found is not None
    return ended(inquiry, inquiry.found) | {"kind": "stored"}


def figures(message: Message) -> dict[str, float]:
    """Losses, probabilities and what is read of the gradients, at the first two steps of each variant."""
    return files.numbers(
        {
            f"{key} {variant}": message["report"]["attacks"][variant][key][:2]
            for key in ("loss", "probability", *MEASURES)
            for variant in VARIANTS
        }
    )


def _asked() -> Exhibit:
    asked = exhibit()
    if asked is None:
        raise EngineError("There is no model or no sample on this machine.")
    return asked


RESULT = Stored("first_why.json", __name__, made_of, make, lambda: make(files.silent, 2), figures)
