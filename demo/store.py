"""Jobs of all visitors in one place, bounded by number and bytes; the least used go first."""

from __future__ import annotations

import dataclasses
import secrets
import shutil
import tempfile
import threading
import weakref
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from engine import studio
from engine.studio import Request, Result, Run

MOST_RUNS = 32
MOST_BYTES = 1 << 30


@dataclass
class Job:
    """One request of one visitor: the run once it began, the flag that stops it, its last result.

    `lock` is held while the run is advanced or measured, `stop` is looked at between steps.
    """

    request: Request
    session: str = ""
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    run: Run | None = None
    result: Result | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    _folder: Path | None = None
    _written: Result | None = None

    @property
    def done(self) -> bool:
        """Whether every step has been taken."""
        return self.run is not None and self.run.done

    @property
    def bytes(self) -> int:
        return sizeof(self.result) + sizeof(self.run and self.run.state)

    def files(self) -> tuple[Path, ...]:
        """adversarial.png, perturbation.npz and result.json of the latest result, written once."""
        with self.lock:
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="lab-"))
                weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
            folder = self._folder
            if self.result is not None and self._written is not self.result:
                studio.save(self.result, folder)
                self._written = self.result
        return tuple(
            folder / name for name in ("adversarial.png", "perturbation.npz", "result.json")
        )


class Kept(Protocol):
    """What a store keeps for a visitor: work that can be stopped, and its size."""

    id: str
    session: str
    stop: threading.Event

    @property
    def bytes(self) -> int: ...


Work = TypeVar("Work", bound=Kept)


class Store:
    """Jobs by id; each visitor (session) has at most one current job.

    A session is one page in one tab: what `get` and `current` give is of the kind which that page adds.
    """

    def __init__(self, most_runs: int = MOST_RUNS, most_bytes: int = MOST_BYTES) -> None:
        self.most_runs, self.most_bytes = most_runs, most_bytes
        self._jobs: OrderedDict[str, Any] = OrderedDict()
        self._current: dict[str, str] = {}
        self._lock = threading.RLock()

    def add(self, job: Work) -> Work:
        """Keep the job and make it its session's current one."""
        with self._lock:
            self._jobs[job.id] = job
            if job.session:
                self._current[job.session] = job.id
            self._trim(job.id)
        return job

    def get(self, id: str) -> Any | None:
        """The job of that id, which now counts as just used."""
        with self._lock:
            job = self._jobs.get(id)
            if job is not None:
                self._jobs.move_to_end(id)
            return job

    def current(self, session: str) -> Any | None:
        """The session's latest job."""
        with self._lock:
            return self.get(self._current.get(session, ""))

    def grown(self, job: Kept) -> None:
        """A job has a new result: make room for it."""
        with self._lock:
            self._trim(job.id)

    def leave(self, session: str) -> None:
        """A visitor has gone: stop what runs for them and forget it."""
        with self._lock:
            self._current.pop(session, None)
            for job in [each for each in self._jobs.values() if each.session == session]:
                self._drop(job)

    @property
    def bytes(self) -> int:
        with self._lock:
            return sum(job.bytes for job in self._jobs.values())

    def __len__(self) -> int:
        return len(self._jobs)

    def _trim(self, keep: str) -> None:
        for job in list(self._jobs.values()):
            if len(self._jobs) <= self.most_runs and self.bytes <= self.most_bytes:
                return
            if job.id != keep:
                self._drop(job)

    def _drop(self, job: Kept) -> None:
        job.stop.set()
        del self._jobs[job.id]


def sizeof(value: Any) -> int:
    """Bytes of all tensors and pictures in a nest of dataclasses, tuples, lists and dicts."""
    if hasattr(value, "nbytes"):
        return int(value.nbytes)
    if dataclasses.is_dataclass(value):
        return sum(sizeof(getattr(value, each.name)) for each in dataclasses.fields(value))
    if isinstance(value, dict):
        return sum(map(sizeof, value.values()))
    if isinstance(value, tuple | list):
        return sum(map(sizeof, value))
    return 0
