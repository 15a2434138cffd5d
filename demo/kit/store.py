"""What is kept for visitors: their runs, bounded by number and bytes, and how their controls stand.

A *visit* is one tab of a browser, whatever page it is on; each page of a visit has a place of its own
here, with one current run. A visitor who comes back to a page finds both; one who is gone for a
minute wants no more of what ran for them.

Who asks for what is computed already, or has been, holds the same job: it is computed once, and ends
early only where nobody is left who wants it.
"""

from __future__ import annotations

import dataclasses
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from PIL import Image

from demo.kit.desk import OPENING, SHOWN, Desk, Work
from demo.kit.job import Job

Values = Mapping[str, Any]
"""How controls stand, by name: raw, as the browser sent them."""

MOST_RUNS = 256
MOST_BYTES = 1 << 30
MOST_PLACES = 2000
SECONDS_AWAY = 60.0


@dataclass
class Place:
    """A page of a visit: its current job, whether the visitor is away, and its controls as they stand
    now, as they stood for that job, and as they stood for what the page shows."""

    current: str = ""
    away: bool = False
    controls: Values | None = None
    asked: Values | None = None
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
        self._shared: dict[str, str] = {}
        self._places: OrderedDict[str, Place] = OrderedDict()
        self._holders: dict[str, set[str]] = {}
        self._present: dict[str, str] = {}
        self._lock = threading.RLock()

    def add(self, job: Kind, work: Work | None = None, controls: Values | None = None) -> Kind:
        """Keep the job, made of the controls as they stand, and make it its place's current one."""
        with self._lock:
            self._jobs[job.id] = job
            self._sizes[job.id] = job.bytes
            if job.place:
                self._hold(job.place, job.id, controls)
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

    def submit(self, job: Kind, work: Work, controls: Values, share: bool = False) -> Kind:
        """The job becomes its place's current one, in place of what runs there; raises Full.

        With `share`, a job of the same key that is under way or finished does so in its stead: that one
        is given back. Nobody sees a job at the desk before it is here.
        """
        key = job.key if share else None
        with self._lock:
            same = self._same(key)
            if same is not None:
                if same is not self.current(job.place):
                    self.halt(job.place)
                    self._hold(job.place, same.id, controls)
                return same  # pyright: ignore[reportReturnType]  # of one key are jobs of one kind
            self.halt(job.place)
            for place in [*self._holders.get(job.id, ())]:
                self._hold(place, "", None)  # who has left it finds it gone on in another's hands
            job.stop.clear()
            job.why = None
            self.desk.submit(work)
            self._shared = {k: id for k, id in self._shared.items() if id != job.id}
            if key is not None:
                self._shared[key] = job.id
            return self.add(job, work, controls)

    def halt(self, place: str) -> None:
        """The place wants no more of what it has under way: that ends after its step, also where it has
        not had its turn; or goes on for others who asked for the same, and the place has it no more."""
        with self._lock:
            before = self.current(place)
            if before is None or before.why == "finished":
                return
            others = self._wanting(before.id) - {place}
            if not others:
                before.stop.set()
                return
            self._hold(place, "", None)
            work = self._works.get(before.id)
            if work is not None and work.visitor == place:
                self.desk.hand(work, min(others))

    def holds(self, place: str, id: str) -> bool:
        """Whether the job of that id is the place's current one."""
        with self._lock:
            return self._place(place).current == id

    def held(self, job: Job) -> bool:
        """Whether the job is here, as any place's current one."""
        with self._lock:
            return job.id in self._jobs and bool(self._holders.get(job.id))

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
        """From now on the job is what the places that hold it show."""
        with self._lock:
            for place in self._holders.get(job.id, ()):
                self._places[place].drawn = self._places[place].asked

    def drawn(self, place: str) -> Values | None:
        """How the controls stood for what the place shows; None before the first run."""
        with self._lock:
            return self._place(place).drawn

    def come(self, page: str, visit: str) -> None:
        """A page of a visit is open."""
        with self._lock:
            self._present[page] = visit
            for place in self._of(visit):
                place.away = False

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
            for place in self._of(visit):
                place.away = True
                job = self._jobs.get(place.current)
                if job is not None and not self._wanting(job.id):
                    job.stop.set()

    def _of(self, visit: str) -> list[Place]:
        return [each for name, each in self._places.items() if name.split("/")[0] == visit]

    def _hold(self, place: str, id: str, controls: Values | None) -> None:
        """The job of that id is the place's current one now; "": none is."""
        found = self._place(place)
        self._release(place)
        found.current, found.asked, found.away = id, controls, False
        if not id:
            return
        self._holders.setdefault(id, set()).add(place)
        work = self._works.get(id)
        if work is not None and work.mail.has(OPENING, SHOWN):
            found.drawn = controls

    def _release(self, place: str) -> None:
        id = self._places[place].current
        holders = self._holders.get(id, set())
        holders.discard(place)
        if not holders:
            self._holders.pop(id, None)

    def _wanting(self, id: str) -> set[str]:
        """The places of those who are there and have the job."""
        holders = self._holders.get(id, set())
        return {each for each in holders if not self._places[each].away}

    def _same(self, key: str | None) -> Job | None:
        """A job of that key that is, or will be, a whole result."""
        job = self.get(self._shared.get(key, "")) if key is not None else None
        work = self._works.get(job.id) if job is not None else None
        if job is None or work is None or work.failed is not None:
            return None
        comes = not work.over.is_set() and not job.stop.is_set()
        return job if comes or job.why == "finished" else None

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
            oldest = next(iter(self._places))
            self._release(oldest)
            del self._places[oldest]
        return found

    def _trim(self, keep: str) -> None:
        for job in list(self._jobs.values()):
            if len(self._jobs) <= self.most_runs and self.bytes <= self.most_bytes:
                return
            if job.id != keep and self.over(job):
                self._drop(job)

    def _drop(self, job: Job) -> None:
        job.stop.set()
        del self._jobs[job.id]
        del self._sizes[job.id]
        self._works.pop(job.id, None)
        self._shared = {key: id for key, id in self._shared.items() if id != job.id}


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
