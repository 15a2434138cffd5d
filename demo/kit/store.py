"""What is kept for visitors: their runs, bounded by number and bytes, and how their controls stand.

A *visit* is one tab of a browser, whatever page it is on; each page of a visit has a place of its own
here, with one current run. A visitor who comes back to a page finds both; one who is gone for a
minute has stopped what ran for them.
"""

from __future__ import annotations

import dataclasses
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from PIL import Image

from demo.kit.desk import Desk, Work
from demo.kit.job import Job

Values = Mapping[str, Any]
"""How controls stand, by name: raw, as the browser sent them."""

MOST_RUNS = 256
MOST_BYTES = 1 << 30
MOST_PLACES = 2000
SECONDS_AWAY = 60.0


@dataclass
class Place:
    """A page of a visit: its current job, and its controls as they stand now and as they stood for
    what the page shows."""

    current: str = ""
    controls: Values | None = None
    drawn: Values | None = None


Kind = TypeVar("Kind", bound=Job)


class Store:
    """Jobs by id, and the places of visits (a page in a tab), each with at most one current job."""

    def __init__(
        self,
        desk: Desk | None = None,
        most_runs: int = MOST_RUNS,
        most_bytes: int = MOST_BYTES,
        away: float = SECONDS_AWAY,
    ) -> None:
        self.desk = desk or Desk()
        self.most_runs, self.most_bytes, self.away = most_runs, most_bytes, away
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._sizes: dict[str, int] = {}
        self._works: dict[str, Work] = {}
        self._made_of: dict[str, Values | None] = {}
        self._places: OrderedDict[str, Place] = OrderedDict()
        self._present: dict[str, str] = {}
        self._lock = threading.RLock()

    def add(self, job: Kind, work: Work | None = None, controls: Values | None = None) -> Kind:
        """Keep the job, made of the controls as they stand, and make it its place's current one."""
        with self._lock:
            self._jobs[job.id] = job
            self._sizes[job.id] = job.bytes
            self._made_of[job.id] = controls
            if job.place:
                self._place(job.place).current = job.id
            if work is not None:
                self._works[job.id] = work
            self._trim(job.id)
        return job

    def get(self, id: str) -> Job | None:
        """The job of that id, which now counts as just used."""
        with self._lock:
            job = self._jobs.get(id)
            if job is not None:
                self._jobs.move_to_end(id)
            return job

    def submit(self, job: Job, work: Work, controls: Values) -> None:
        """The job becomes its place's current one, in place of what runs there; raises Busy.

        Nobody sees it at the desk before it is here.
        """
        with self._lock:
            self.halt(job.place)
            job.stop.clear()
            self.desk.submit(work)
            self.add(job, work, controls)

    def halt(self, place: str) -> None:
        """What a place has under way ends after its step, also where it has not had its turn."""
        before = self.current(place)
        if before is not None:
            before.stop.set()

    def work(self, id: str) -> Work | None:
        """What is, or was last, under way for the job of that id."""
        with self._lock:
            return self._works.get(id)

    def current(self, place: str) -> Job | None:
        """The place's latest job."""
        with self._lock:
            return self.get(self._place(place).current)

    def grown(self, job: Job) -> None:
        """A job has a new result: make room for it."""
        with self._lock:
            if job.id in self._jobs:
                work = self._works.get(job.id)
                self._sizes[job.id] = job.bytes + sizeof(work.mail.kept if work else ())
                self._trim(job.id)

    def over(self, job: Job) -> bool:
        """Whether nothing is under way for the job."""
        work = self.work(job.id)
        return work is None or work.over.is_set()

    def remember(self, place: str, controls: Values) -> None:
        """How the controls of a place stand."""
        with self._lock:
            self._place(place).controls = controls

    def remembered(self, place: str) -> Values | None:
        with self._lock:
            return self._place(place).controls

    def draw(self, job: Job) -> None:
        """From now on the job is what its place shows."""
        with self._lock:
            self._place(job.place).drawn = self._made_of.get(job.id)

    def drawn(self, place: str) -> Values | None:
        """How the controls stood for what the place shows; None before the first run."""
        with self._lock:
            return self._place(place).drawn

    def come(self, page: str, visit: str) -> None:
        """A page of a visit is open."""
        with self._lock:
            self._present[page] = visit

    def leave(self, page: str) -> None:
        """A page was closed; a visit that stays away is over for what runs."""
        with self._lock:
            visit = self._present.pop(page, "")
        if visit:
            later(self.away, lambda: self._gone(visit))

    def _gone(self, visit: str) -> None:
        with self._lock:
            if visit in Counter(self._present.values()):
                return
            for job in self._jobs.values():
                if job.place.startswith(visit):
                    job.stop.set()

    @property
    def bytes(self) -> int:
        with self._lock:
            return sum(self._sizes.values())

    def __len__(self) -> int:
        return len(self._jobs)

    def _place(self, place: str) -> Place:
        found = self._places.setdefault(place, Place())
        self._places.move_to_end(place)
        while len(self._places) > MOST_PLACES:
            self._places.popitem(last=False)
        return found

    def _trim(self, keep: str) -> None:
        for job in list(self._jobs.values()):
            if len(self._jobs) <= self.most_runs and self.bytes <= self.most_bytes:
                return
            if job.id != keep:
                self._drop(job)

    def _drop(self, job: Job) -> None:
        job.stop.set()
        del self._jobs[job.id]
        del self._sizes[job.id]
        self._works.pop(job.id, None)
        self._made_of.pop(job.id, None)


def later(seconds: float, act: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, act)
    timer.daemon = True
    timer.start()


def sizeof(value: Any) -> int:
    """Bytes of all tensors, pictures and texts in a nest of dataclasses, tuples, lists and dicts."""
    if hasattr(value, "nbytes"):
        return int(value.nbytes)
    if isinstance(value, Image.Image):
        return value.width * value.height * len(value.getbands())
    if isinstance(value, str | bytes):
        return len(value)
    if dataclasses.is_dataclass(value):
        return sum(sizeof(getattr(value, each.name)) for each in dataclasses.fields(value))
    if isinstance(value, dict):
        return sum(map(sizeof, value.values()))
    if isinstance(value, tuple | list):
        return sum(map(sizeof, value))
    return 0
