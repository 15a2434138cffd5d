"""A report on one picture that grows while it is worked out: what every paper's has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Generic, Self, TypeVar

import torch

from engine.evaluate import timing
from engine.evaluate.machine import Machine
from engine.evaluate.progress import Progress
from engine.evaluate.timing import Timing
from engine.papers.export import Made

Stopped = Callable[[], bool]
"""Looked at between steps: whether nobody wants the rest."""


@dataclass(frozen=True)
class Working:
    """A step of the attack is done."""

    step: int
    steps: int


@dataclass(frozen=True, kw_only=True)
class Report(ABC):
    """What is known so far: `steps` of those `asked` are done; what follows later is empty until then.

    `counted` says what these are.
    """

    counted: ClassVar[str] = "steps"

    steps: int = 0
    asked: int = 0

    @property
    @abstractmethod
    def whole(self) -> bool:
        """Whether nothing more follows."""


Found = TypeVar("Found", bound=Report)
Event = Progress | Working | Report
Events = Iterator[Event]


@dataclass(frozen=True, kw_only=True)
class Timed(Report):
    """One that ends with what a pass takes: seconds, and on CUDA bytes at its worst moment.

    `linf` is the attack's largest change of a pixel, in 255ths; `machine` is where the times are of.
    `energy` is joules of a pass, from a meter if `metered`; `meter` names it, or says why there is none.
    """

    linf: int = 0
    times: Mapping[str, Timing] | None = None
    machine: Machine | None = None
    memory: Mapping[str, int] | None = None
    energy: Mapping[str, float] | None = None
    metered: bool = False
    meter: str = ""

    @property
    def whole(self) -> bool:
        return self.times is not None

    def timed(
        self, jobs: Mapping[str, Callable[[], object]], where: torch.device, rounds: int
    ) -> Iterator[Progress | Self]:
        """Every job in turn, then the report with what they took; energy nothing meters stays as it is."""
        for each in timing.timed(jobs, where, rounds):
            if isinstance(each, Progress):
                yield each
                continue
            yield replace(
                self,
                times=each.times,
                machine=each.machine,
                memory=each.memory,
                energy=each.energy or self.energy,
                metered=each.energy is not None,
                meter=each.meter,
            )


def growing(
    found: Found,
    parts: Iterable[Callable[[Found], Iterator[Progress | Found]]],
    stopped: Stopped,
) -> Iterator[Progress | Found]:
    """A report, and what each part makes of the one before, until it is `stopped`."""
    yield found
    for part in parts:
        if stopped():
            return
        for each in part(found):
            if not isinstance(each, Progress):
                found = each
            yield each
            if stopped():
                return


@dataclass(frozen=True)
class Compared(Generic[Found]):
    """A finished report and what it was made of."""

    report: Found
    made: Made


def compared(events: Iterable[Any], made: Made) -> Iterator[Progress | Compared[Any]]:
    """Reports as a command follows them: progress, and last the finished one."""
    found: Report | None = None
    for event in events:
        if isinstance(event, Report):
            found = event
        elif isinstance(event, Working):
            yield Progress("attack steps", event.step, event.steps)
        else:
            yield event
    assert found is not None  # a report that nobody stops is finished
    yield Compared(found, made)
