"""What a lesson is: steps that set up a real page, ask before anything is shown, run, and hold what was
predicted against what was measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Setup = Mapping[str, Any]
"""Controls of a page by name, as a browser says them; those that are not named stand as at first."""


@dataclass(frozen=True)
class Choose:
    """One of several answers, each by a key and in words."""

    question: str
    options: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Estimate:
    """A number on a scale."""

    question: str
    low: float
    high: float
    step: float
    unit: str = ""


@dataclass(frozen=True)
class Mark:
    """So many cells of a grid (rows, columns) that is laid over the picture."""

    question: str
    count: int
    grid: tuple[int, int] = (10, 10)


Ask = Choose | Estimate | Mark


@dataclass(frozen=True)
class Seen:
    """What a run has to say to a step.

    `said` is one sentence with the measured numbers; `answer` is what would have been right, in the
    terms of the question: an option's key, a number, or the cells (row-major); `margin` is how far the
    asserted phenomenon is from being gone, at least 1 where it is there beyond doubt and at most 0 where
    it is not: what the text of the step says is true while it is positive.
    """

    said: str
    answer: str | float | tuple[int, ...]
    margin: float


@dataclass(frozen=True)
class Step:
    """One thing to understand.

    Words are HTML; `[[term]]` and `[[term|as it stands here]]` open the glossary in place. `page` is the
    route of the page that it drives ("" is the Lab). A step without `see` runs nothing and asks nothing.
    After the run `tab` of the Lab is opened, `select` goes to the page's store, and `point`, a CSS
    selector, is what `look` speaks of.
    """

    title: str
    text: str
    look: str = ""
    explain: str = ""
    page: str = ""
    setup: Setup = field(default_factory=dict[str, Any])
    ask: Ask | None = None
    see: Callable[[Any], Seen] | None = None
    select: Mapping[str, Any] = field(default_factory=dict[str, Any])
    tab: str = ""
    point: str = ""
    equation: str = ""
    source: str = ""


@dataclass(frozen=True)
class Checked:
    """Whether a student's own run does what was asked, and the sentence that says so, with numbers."""

    done: bool
    said: str


@dataclass(frozen=True)
class Task:
    """What the student does alone: any run of theirs on that page is checked by computation.

    `check` is given the outcome of that run; `hints` come one by one, and last `solution`, controls
    with which it is done.
    """

    text: str
    check: Callable[[Any], Checked]
    hints: tuple[str, ...]
    solution: Setup
    page: str = ""
    setup: Setup = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Lesson:
    """A lesson of 10 to 15 minutes; `name` is its address and the name of its notes in `docs/lessons/`."""

    name: str
    title: str
    question: str
    minutes: int
    steps: tuple[Step, ...]
    task: Task
    paper: str = ""
