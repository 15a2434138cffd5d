"""A visitor's attack, driven step by step to its end: what the page shows and the endpoints tell."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from demo.kit.identity import digest, weights_of
from demo.kit.job import Ending, Job, Limit
from demo.kit.loading import Loading
from demo.kit.scratch import Folder
from demo.kit.store import sizeof
from engine import studio
from engine.model import zoo
from engine.studio import Request, Result, Run, Stepped

PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Began:
    """The model has seen the clean picture; the first step follows."""

    run: Run


@dataclass(eq=False)
class Attempt(Job):
    """An attack on one picture: the run once it began, and its last result.

    `lock` is held while the run is advanced or measured.
    """

    request: Request
    run: Run | None = None
    result: Result | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)
    _written: tuple[Result, Folder, tuple[Path, ...]] | None = None

    @property
    def done(self) -> bool:
        """Whether every step has been taken."""
        return self.run is not None and self.run.done

    @property
    def key(self) -> str:
        return digest(self.request, weights_of(self.models, self.request.weights))

    @property
    def bytes(self) -> int:
        return sizeof((self.request.image, self.result, self.run and self.run.state))

    @property
    def outcome(self) -> Result | None:
        return self.result

    @property
    def models(self) -> tuple[str, ...]:
        """Every model that it needs."""
        return (self.request.model, *self.request.others)

    def files(self) -> tuple[Path, ...]:
        """The adversarial PNG, the perturbation NPZ and the JSON of the latest result, written once."""
        with self.lock:
            if self.result is None:
                return ()
            if self._written is None or self._written[0] is not self.result:
                folder = Folder()
                self._written = self.result, folder, studio.save(self.result, folder.path)
            return self._written[2]


def drive(
    attempt: Attempt, steps: int | None = None, patience: float = PATIENCE_SECONDS
) -> Iterator[Loading | Began | Stepped]:
    """Advance by `steps` (None: to the end), until it is stopped, or patience ends; `why` says which.

    Nothing is held across a `yield`: a visitor who leaves leaves nothing locked.
    """
    if attempt.stop.is_set():
        attempt.why = "stopped"
        return
    if attempt.run is None:
        yield Loading(zoo.card(attempt.request.model, attempt.request.weights).title)
        with attempt.lock:
            attempt.run = Run(attempt.request)
        yield Began(attempt.run)
    run, limit, taken = attempt.run, attempt.limit(patience), 0
    while not run.done and taken != steps and not limit.over():
        with attempt.lock:
            event = run.advance()
        taken += 1
        yield event
    with attempt.lock:
        attempt.result = run.result()
    attempt.why = _why(limit, run.done, taken == steps)


def _why(limit: Limit, done: bool, paused: bool) -> Ending:
    ending = limit.why(done)
    return "paused" if paused and ending == "late" else ending
