"""A job driven to its end, as events: what the page shows and what the endpoints tell."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from demo.kit.store import Job
from engine.model import hub, zoo
from engine.model.hub import Download
from engine.studio import Request, Result, Run, Stepped

PATIENCE_SECONDS = 60.0
# What gradio is told of every event that touches a model: one at a time on this machine.
TORCH: dict[str, Any] = {"concurrency_id": "torch", "concurrency_limit": 1}
Ending = Literal["finished", "stopped", "late", "paused"]


@dataclass(frozen=True)
class Fetching:
    """Weights of a model are on their way from the hub."""

    title: str
    download: Download


@dataclass(frozen=True)
class Loading:
    """A model that is on this machine is being read."""

    title: str


@dataclass(frozen=True)
class Began:
    """The model has seen the clean picture; the first step follows."""

    run: Run


@dataclass(frozen=True)
class Ended:
    """The result as it stands and why it ends here; None where nothing had begun."""

    result: Result | None
    why: Ending


def missing(request: Request) -> bool:
    """Whether a model of the request must be fetched first."""
    names = (request.model, *request.others)
    return any(zoo.available(zoo.card(name, request.weights)) != "here" for name in names)


def fetch(request: Request) -> Iterator[Fetching]:
    """Bring the request's models onto this machine; raises WeightsUnavailable, UnknownName."""
    yield from bring((request.model, *request.others), request.weights)


def bring(models: Sequence[str], weights: Path | None) -> Iterator[Fetching]:
    """Bring models onto this machine; raises WeightsUnavailable, UnknownName."""
    for name in models:
        card = zoo.card(name, weights)
        if zoo.available(card) != "here":
            for download in hub.fetch(zoo.repository(card), card.title):
                yield Fetching(card.title, download)


def drive(
    job: Job, steps: int | None = None, patience: float = PATIENCE_SECONDS
) -> Iterator[Loading | Began | Stepped | Ended]:
    """Advance the job by `steps` (None: to its end), until it is stopped, or patience ends.

    Nothing is held across a `yield`: a visitor who leaves leaves nothing locked.
    """
    if job.stop.is_set():
        yield Ended(job.result, "stopped")
        return
    if job.run is None:
        yield Loading(zoo.card(job.request.model, job.request.weights).title)
        with job.lock:
            job.run = Run(job.request)
        yield Began(job.run)
    run, began, taken = job.run, time.monotonic(), 0
    while not run.done and not job.stop.is_set() and (steps is None or taken < steps):
        if time.monotonic() - began > patience:
            break
        with job.lock:
            event = run.advance()
        taken += 1
        yield event
    with job.lock:
        job.result = run.result()
    yield Ended(job.result, _why(job, run, steps is not None and taken == steps))


def _why(job: Job, run: Run, paused: bool) -> Ending:
    if run.done:
        return "finished"
    if job.stop.is_set():
        return "stopped"
    return "paused" if paused else "late"
