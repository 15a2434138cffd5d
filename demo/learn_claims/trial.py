"""A visitor's own measurement of a paper's claims: what they asked for, and what came of it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from demo.kit import goal, labelled, picture
from demo.kit.controls import whole
from demo.kit.identity import digest, weights_of
from demo.kit.job import Job
from demo.kit.labelled import MOST_PICTURES, Labelled
from demo.kit.loading import Loading, load
from demo.kit.scratch import Folder, room
from demo.kit.store import Values
from engine.alter.catalog import ON
from engine.alter.stack import named
from engine.core.errors import BadTask
from engine.core.knobs import knobs
from engine.data.table import NAME
from engine.evaluate import bench
from engine.evaluate.claim import Row
from engine.evaluate.progress import Progress
from engine.evaluate.study import Study, data
from engine.model import zoo
from engine.papers.catalog import PAPERS
from engine.papers.paper import Brief, Paper, Photographs, study

PATIENCE_SECONDS = 600.0
BATCH = 4  # pictures: small, so that a step is soon over
LEAST_PICTURES, PICTURES = 3, 20
STEPS, MOST_STEPS = 5, 50
OVERHEAD = 2.0  # what attacks take to what their gradients alone do, as measured on three papers
PACES: dict[str, float] = {}
"""Seconds of a gradient, by model, as measured here last."""
BY_NAME = {each.name: each for each in PAPERS if each.claims.brief}


@dataclass(frozen=True)
class Question:
    """A paper, the model it is measured on, how, and the pictures."""

    paper: Paper
    model: str
    steps: int
    brief: Brief
    labelled: Labelled
    seed: int = 0
    weights: Path | None = None

    @property
    def models(self) -> tuple[str, ...]:
        return (self.model, *self.brief.targets)

    @property
    def gradients(self) -> int:
        """About what all of it spends."""
        return self.brief.gradients * len(self.labelled.pictures)


@dataclass(eq=False)
class Trial(Job):
    """A measurement: its rows so far, and how long a gradient takes here, once that is known."""

    question: Question
    found: list[Any] = field(default_factory=list[Any])
    pace: float | None = None
    folder: Folder = field(default_factory=Folder, repr=False)

    @property
    def key(self) -> str | None:
        """Of the samples; uploads are files, which may go."""
        asked = self.question
        if not asked.labelled.bundled:
            return None
        shown = [
            asked.paper.name,
            asked.model,
            asked.steps,
            asked.seed,
            len(asked.labelled.pictures),
        ]
        return digest("claims", shown, weights_of(asked.models, asked.weights))

    @property
    def seconds(self) -> float:
        """About how long all of it takes, once a gradient was timed."""
        return OVERHEAD * self.question.gradients * (self.pace or 0)

    @property
    def rows(self) -> tuple[Row, ...]:
        return tuple(each for each in self.found if isinstance(each, Row))

    @property
    def outcome(self) -> Study[Any] | None:
        """What was found, as `python -m engine claims` keeps it."""
        if not self.found:
            return None
        asked, settings = self.question, self.question.brief.settings
        plain = {each.name: getattr(settings, each.name) for each in knobs(settings)}
        return study(asked.paper.name, self.photographs, plain, self.found)

    @property
    def bytes(self) -> int:
        return 2000 * len(self.found)

    @property
    def photographs(self) -> Photographs:
        """The pictures as a folder: a table that names where they lie."""
        asked = self.question
        name = "bundled samples" if asked.labelled.bundled else "pictures of a visitor"
        return Photographs(
            self.folder.path / name,
            asked.model,
            asked.brief.targets,
            len(asked.labelled.pictures),
            asked.seed,
            BATCH,
            asked.weights,
        )


def question(values: Values, weights: Path | None) -> Question:
    """The measurement as the controls stand; raises EngineError."""
    paper = BY_NAME.get(str(values["paper"] or ""))
    if paper is None or paper.claims.brief is None:
        raise BadTask("There is no paper.", "Choose one.")
    model = str(values["model"] or "")
    if not model:
        raise BadTask("There is no model.", "Choose one.")
    classes = zoo.class_names(zoo.card(model.partition(ON)[0], weights))
    steps = whole("steps", values["steps"])
    return Question(
        paper,
        model,
        steps,
        paper.claims.brief(model, weights, steps),
        _few(_pictures(values["files"], classes), whole("pictures", values["pictures"])),
        goal.seed(values["seed"]),
        weights,
    )


def drive(trial: Trial, patience: float = PATIENCE_SECONDS) -> Iterator[Loading | Progress | Row]:
    """Read the models, time a gradient, and measure to the end, until it is stopped, or until patience
    ends; what was found is kept."""
    asked = trial.question
    yield from load(asked.models, asked.weights)
    photographs = trial.photographs
    _write(photographs.folder, asked.labelled)
    victim = named(asked.model, lambda name: zoo.load(name, asked.weights))
    trial.pace = PACES[asked.model] = bench.pace(victim)
    limit, finished = trial.limit(patience), False
    events = asked.paper.claims.measure(photographs, asked.brief.settings)
    yield Progress("measuring", 0, 1)
    for event in events:
        if not isinstance(event, Progress):
            trial.found.append(event)
        yield event
        if limit.over():
            break
    else:
        finished = True
    trial.why = limit.why(finished)


def exported(trial: Trial) -> str:
    """What was found as JSON, in the form of a kept study."""
    kept = trial.outcome
    return json.dumps(data(kept), indent=1, ensure_ascii=False) + "\n" if kept else ""


def _pictures(files: Any, classes: tuple[str, ...]) -> Labelled:
    if files:
        return labelled.read(picture.uploads(files), classes)
    found = labelled.samples()
    if not found.pictures:
        raise BadTask("There are no samples on this machine.", "Bring labelled pictures.")
    return found


def _few(found: Labelled, most: int) -> Labelled:
    """The first of them, which are even over the classes."""
    if not LEAST_PICTURES <= most <= MOST_PICTURES:
        raise BadTask(
            f"Between {LEAST_PICTURES} and {MOST_PICTURES} pictures are measured here.",
            "The command line measures any number.",
        )
    return replace(found, pictures=found.pictures[:most])


def _write(folder: Path, found: Labelled) -> None:
    """The table that names the pictures where they lie, and their classes."""
    text = io.StringIO()
    rows = [(str(each.image), each.label) for each in found.pictures]
    csv.writer(text).writerows([("file", "class"), *rows])
    content = text.getvalue().encode()
    with room(len(content)):
        folder.mkdir(exist_ok=True)
        (folder / NAME).write_bytes(content)
