"""One visitor's comparison as it runs: what was asked, what was read, how it ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from demo.kit.job import Job
from demo.kit.loading import Loading, load
from demo.kit.picture import Picture
from demo.kit.store import sizeof
from engine.attack.recipes.tgr import TGR
from engine.model import zoo
from engine.papers.tgr import compare as why
from engine.papers.tgr.compare import VARIANTS, Answer, Comparison, Reading
from engine.studio import Subject

PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Question:
    """A picture, the model attacked, the models it is shown to, and TGR as it is set."""

    picture: Picture
    source: str
    targets: tuple[str, ...]
    tgr: TGR
    label: int | None = None
    seed: int = 0
    weights: Path | None = None

    @property
    def models(self) -> tuple[str, ...]:
        """Every model that it needs, the one attacked first."""
        return (self.source, *self.targets)


@dataclass(eq=False)
class Inquiry(Job):
    """A question, its readings so far in rounds (one step of every variant), and in the end every
    model's answers to the clean picture and to each variant's; none where no step was done."""

    question: Question
    subject: Subject | None = None
    rounds: list[tuple[Reading, ...]] = field(default_factory=list[tuple[Reading, ...]])
    answers: dict[str, tuple[Answer, ...]] = field(default_factory=dict[str, tuple[Answer, ...]])

    @property
    def found(self) -> Comparison:
        """All that was read so far, once the source has seen the picture."""
        assert self.subject is not None
        return Comparison(self.subject, self.question.tgr, tuple(self.rounds), self.answers)

    @property
    def bytes(self) -> int:
        return sizeof(self.rounds)


def drive(
    inquiry: Inquiry, patience: float = PATIENCE_SECONDS
) -> Iterator[Loading | Subject | Reading]:
    """Compare to the end, until it is stopped, or patience ends; an unfinished round is dropped."""
    asked = inquiry.question
    for event in load(asked.models, asked.weights):
        yield event
        if inquiry.stop.is_set():
            inquiry.why = "stopped"
            return
    source = zoo.load(asked.source, asked.weights)
    inquiry.subject = Subject.of(source, asked.picture.image, asked.label, seed=asked.seed)
    yield inquiry.subject
    limit, current = inquiry.limit(patience), list[Reading]()
    for reading in why.compare(inquiry.subject, asked.tgr):
        if limit.over():
            break
        current.append(reading)
        if len(current) == len(VARIANTS):
            inquiry.rounds.append(tuple(current))
            current.clear()
        yield reading
    if inquiry.rounds:
        inquiry.answers = _answers(inquiry, inquiry.subject)
    inquiry.why = limit.why(len(inquiry.rounds) == asked.tgr.steps)


def _answers(inquiry: Inquiry, subject: Subject) -> dict[str, tuple[Answer, ...]]:
    asked = inquiry.question
    pixels = [subject.pixels, *(each.pixels for each in inquiry.rounds[-1])]
    return {
        name: why.answers(zoo.load(name, asked.weights), pixels, subject.called)
        for name in asked.models
    }
