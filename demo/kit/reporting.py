"""A run that grows into a report: what it is of, how it is driven, and the default one, kept in `assets/`."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from demo.kit import picture
from demo.kit import stored as files
from demo.kit.identity import digest, weights_of
from demo.kit.job import Job
from demo.kit.loading import Loading
from demo.kit.packing import milliseconds, rounded
from demo.kit.store import Values, sizeof
from demo.kit.stored import Message, Stored, Told
from engine.core.errors import EngineError
from engine.evaluate.progress import Progress
from engine.papers.export import Made
from engine.papers.paper import Exhibit
from engine.papers.report import Report, Stopped, Timed, Working

Asked = TypeVar("Asked")
Found = TypeVar("Found", bound=Report)
Event = Loading | Progress | Working | Report
Choice = dict[str, str]
"""What a run is of, part by part in words."""


@dataclass(frozen=True)
class Question(Generic[Asked]):
    """The picture and the model, the run's settings, the attack in words, and the choice in words."""

    exhibit: Exhibit
    settings: Asked
    title: str
    choice: Choice


@dataclass(eq=False)
class Reporting(Job, Generic[Asked, Found]):
    """One run: what it is made of once the model is read, its report so far, and what was told of it."""

    question: Question[Asked]
    made: Made | None = None
    report: Found | None = None
    told: Message | None = None

    @property
    def key(self) -> str:
        """Of one page: each tells its report in its own way."""
        asked, page = self.question, self.place.partition("/")[2]
        return digest(page, asked, weights_of(asked.exhibit.models, asked.exhibit.weights))

    @property
    def bytes(self) -> int:
        return sizeof(self.report)

    @property
    def outcome(self) -> Found | None:
        return self.report

    def grow(
        self, report: Callable[[Stopped], Iterator[Progress | Working | Found]], patience: float
    ) -> Iterator[Progress | Working | Found]:
        """Work to the end, until it is stopped, or until patience ends; the latest report is kept."""
        limit = self.limit(patience)
        for event in report(limit.over):
            if not isinstance(event, Progress | Working):
                self.report = event
            yield event
        self.why = limit.why(self.report is not None and self.report.whole)


class Drive(Protocol):
    """How a room's run is driven."""

    def __call__(self, trial: Any, patience: float = ...) -> Iterator[Event]: ...


@dataclass(frozen=True)
class Default:
    """The report that stands in a room before anyone presses Run: its default run.

    `values(weights)` are the controls, "model" one name or a list, None where there is no model or no
    sample; `question`, `drive` and `message` are the room's. All samples count: they calibrate, and are
    batch-mates. Times are of the machine that made it, not of the one that shows it: the room says so,
    and gives its name.
    """

    file: str
    values: Callable[[Path | None], dict[str, Any] | None]
    question: Callable[[Values, Path | None], Question[Any]]
    drive: Drive
    message: Callable[[Any, Any], Message]

    def stored(self, weights: Path | None = None) -> Message | None:
        """What was computed earlier, if it was with the very model and pictures that are here.

        Raises StoredDamaged where the file is no such thing: the page starts without it, and says so.
        """
        asked = self.values(weights)
        if asked is None:
            return None
        found = files.read(self.file, _hashed(asked, weights))
        if self.file in files.problems:
            raise StoredDamaged(files.problems[self.file])
        return found and found | {"earlier": True}

    def made_of(self) -> str:
        """A hash of the model's weights, of all samples, and of the settings."""
        return _hashed(self._asked(), None)

    def make(self, told: Told = files.silent) -> Message:
        """The whole run, as the room is told of its end."""
        return self._told(told)

    def part(self) -> Message:
        """The first report of a run of one step."""
        return self._told(files.silent, first=True, steps=1)

    def short(self) -> Message:
        """The last report of a run of one step."""
        return self._told(files.silent, steps=1)

    def result(
        self,
        module: str,
        figures: Callable[[Message], dict[str, float]],
        part: Callable[[], Message] | None = None,
    ) -> Stored:
        """For `demo.stored`; `part` is computed again to be compared, else the first report."""
        return Stored(self.file, module, self.made_of, self.make, part or self.part, figures)

    def _told(self, told: Told, *, first: bool = False, **changed: Any) -> Message:
        trial = Reporting[Any, Any](self.question(self._asked() | changed, None))
        for event in self.drive(trial, math.inf):
            if isinstance(event, Working):
                told(event.step, event.steps)
            if first and isinstance(event, Report):
                break
        assert trial.report is not None
        return self.message(trial, trial.report)

    def _asked(self) -> dict[str, Any]:
        found = self.values(None)
        if found is None:
            raise EngineError("There is no model or no sample on this machine.")
        return found


def usual(offered: list[tuple[str, str]], **chosen: Any) -> dict[str, Any] | None:
    """The controls of a default run: the first sample, on the first model that is offered."""
    if not picture.first() or not offered:
        return None
    return {"source": picture.first(), "model": offered[0][1], **chosen}


def opening(trial: Reporting[Any, Any], data: Mapping[str, Any], csv: str, png: str) -> Message:
    """How the message of a report begins: the run, its choice in words, and the files that can be taken
    away: `data` as JSON, the table, the picture."""
    assert trial.made is not None
    return {
        "kind": "report",
        "run": trial.id,
        "choice": trial.question.choice,
        "files": {
            "stem": trial.made.stem,
            "json": json.dumps(data, indent=1, ensure_ascii=False) + "\n",
            "csv": csv,
            "png": png,
        },
    }


def measured(found: Timed) -> Message:
    """What passes took, once that is known."""
    return {
        "times": found.times and {name: milliseconds(each) for name, each in found.times.items()},
        "machine": found.machine and asdict(found.machine),
        "memory": found.memory and dict(found.memory),
        "energy": found.energy and rounded(found.energy),
        "metered": found.metered,
        "meter": found.meter,
    }


class StoredDamaged(EngineError):
    """A stored report that is cut or is something else."""


def _hashed(asked: dict[str, Any], weights: Path | None) -> str:
    shown = [each.path for each in picture.listed()]
    models = asked["model"] if isinstance(asked["model"], list) else [asked["model"]]
    return files.hashed(models, shown, weights, **asked)
