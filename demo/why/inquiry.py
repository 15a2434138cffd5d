"""One visitor's comparison as it runs: what was asked, what was read, when to stop."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from PIL import Image

from demo.kit.store import sizeof
from demo.lab.running import PATIENCE_SECONDS, Loading
from engine.attack.recipes.tgr import TGR
from engine.model import zoo
from engine.papers.tgr import compare as why
from engine.papers.tgr.compare import Answer, Case, Reading, Variant

VARIANTS: tuple[Variant, ...] = ("baseline", "gamma", "zeroing", "both", "random")


@dataclass(frozen=True)
class Question:
    """A picture, the model attacked, the models it is shown to, and TGR as it is set."""

    image: Image.Image
    picture: str
    source: str
    targets: tuple[str, ...]
    tgr: TGR
    label: int | None = None
    seed: int = 0
    weights: Path | None = None


@dataclass(frozen=True)
class Ended:
    """Every model's answers to the clean picture and to each variant's; none where no step was done."""

    answers: dict[str, tuple[Answer, ...]]
    why: Literal["finished", "stopped", "late"]


@dataclass
class Inquiry:
    """A question, and its readings so far in rounds: one step of every variant."""

    question: Question
    session: str = ""
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    stop: threading.Event = field(default_factory=threading.Event)
    case: Case | None = None
    rounds: list[tuple[Reading, ...]] = field(default_factory=list)
    ended: bool = False

    @property
    def bytes(self) -> int:
        return sizeof(self.rounds)


def drive(
    inquiry: Inquiry, patience: float = PATIENCE_SECONDS
) -> Iterator[Loading | Case | Reading | Ended]:
    """Compare to the end, until it is stopped, or patience ends; an unfinished round is dropped."""
    asked = inquiry.question
    for name in (asked.source, *asked.targets):
        if inquiry.stop.is_set():
            break
        yield Loading(zoo.card(name, asked.weights).title)
        zoo.load(name, asked.weights)
    source = zoo.load(asked.source, asked.weights)
    inquiry.case = why.case(source, asked.image, asked.label, asked.seed)
    yield inquiry.case
    began, current = time.monotonic(), list[Reading]()
    for reading in why.compare(inquiry.case, asked.tgr):
        if inquiry.stop.is_set() or time.monotonic() - began > patience:
            break
        current.append(reading)
        if len(current) == len(VARIANTS):
            inquiry.rounds.append(tuple(current))
            current.clear()
        yield reading
    inquiry.ended = True
    yield Ended(_answers(inquiry), _ending(inquiry))


def _answers(inquiry: Inquiry) -> dict[str, tuple[Answer, ...]]:
    if inquiry.case is None or not inquiry.rounds:
        return {}
    asked = inquiry.question
    pixels = [inquiry.case.pixels, *(each.pixels for each in inquiry.rounds[-1])]
    return {
        name: why.answers(zoo.load(name, asked.weights), pixels, inquiry.case.called)
        for name in (asked.source, *asked.targets)
    }


def _ending(inquiry: Inquiry) -> Literal["finished", "stopped", "late"]:
    if len(inquiry.rounds) == inquiry.question.tgr.steps:
        return "finished"
    return "stopped" if inquiry.stop.is_set() else "late"
