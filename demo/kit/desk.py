"""Who computes when: every run waits here for its turn and is driven by threads of ours.

A run is never driven by the connection that asked for it, so a visitor who reloads, goes to another
page or stops reading changes nothing but what they see: whoever comes back is told where it stands.
A turn is one `next` of a run, and a lane's thread takes one turn at a time: runs of many visitors
interleave by their steps, so nothing may be open across a `yield`.
"""

from __future__ import annotations

import asyncio
import atexit
import itertools
import logging
import statistics
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from demo.kit.job import Clock
from engine.core.errors import EngineError

log = logging.getLogger(__name__)

# How many threads a lane has. One run at a time has the machine, and experiments, whose steps are long,
# go on beside it; reading pictures and waiting for the network hold nobody else up.
LANES = {"torch": 1, "transfer": 1, "read": 2, "hub": 2}
MOST_WAITING = 400
MOST_OF_ONE = 4
MOST_BEGUN = 64  # of a lane: what is under way holds its passes in memory
SECONDS_OF_A_ROUND = 3.0
OF_LATE = 32  # runs that tell how long the next ones take
SECONDS_BETWEEN_LOOKS = 0.1
SECONDS_BETWEEN_LINES = 1.0
SECONDS_BETWEEN_SIGNS = 5.0
OPENING, SHOWN, STATUS, LINE = "opening", "shown", "status", "line"
Told = tuple[str, Any]
Saying = Generator[Told, None, Any]
# A lane, and what is done there; it may return further stages, which then come next.
Stage = tuple[str, Callable[[], Generator[Told, None, "tuple[Stage, ...] | None"]]]


class Busy(EngineError):
    """It cannot be had now."""


class Full(Busy):
    """The desk takes no more; it will soon."""


class Wait(NamedTuple):
    """Where a work stands in its lane's line (1 is next), and in how many seconds its turn may come, as
    far as earlier ones tell; `begun` where it goes on then."""

    place: int
    seconds: float | None
    begun: bool = False


class Mail:
    """What a run has to say to whoever watches it: (slot, value), of every slot only the latest.

    What is shown makes sense only with the opening, so the two go together, each time: of messages that
    come fast, a browser may be told the last alone. What is shown at the end makes it superfluous.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latest: dict[str, tuple[int, Any]] = {}
        self.number = 0

    def post(self, slot: str, value: Any) -> None:
        with self._lock:
            self.number += 1
            self._latest[slot] = (self.number, value)

    def close(self) -> None:
        """Nothing follows: who comes now is shown the end alone."""
        with self._lock:
            if SHOWN in self._latest:
                self._latest.pop(OPENING, None)

    def since(self, number: int) -> tuple[list[Told], int]:
        """What was posted after that number, in order, and the number of the last."""
        with self._lock:
            shown, _ = self._latest.get(SHOWN, (0, None))
            news = [
                (at, slot)
                for slot, (at, _) in self._latest.items()
                if max(at, shown if slot == OPENING else 0) > number
            ]
            return [(slot, self._latest[slot][1]) for _, slot in sorted(news)], self.number

    def forget(self, slot: str) -> None:
        with self._lock:
            self._latest.pop(slot, None)

    def has(self, *slots: str) -> bool:
        """Whether something was posted in one of these."""
        with self._lock:
            return any(slot in self._latest for slot in slots)

    @property
    def kept(self) -> list[Any]:
        """Everything that whoever comes now would be told."""
        with self._lock:
            return [value for _, value in self._latest.values()]


@dataclass(eq=False)
class Work:
    """Something to be computed for a visitor, in stages that each need their own lane.

    `doing` is the stage that has begun, `had` the seconds of its lane that it was given so far, `since`
    when it came into the line, or back to it; `showed` says whether there was anything to see.
    """

    visitor: str
    stages: tuple[Stage, ...]
    stop: threading.Event = field(default_factory=threading.Event)
    clock: Clock = field(default_factory=Clock)
    mail: Mail = field(default_factory=Mail)
    failed: Exception | None = None
    over: threading.Event = field(default_factory=threading.Event)
    doing: Saying | None = None
    had: float = 0.0
    since: float = 0.0
    showed: bool = False
    number: int = 0
    behind: int = 0

    @property
    def lane(self) -> str:
        return self.stages[0][0] if self.stages else ""

    def advance(self) -> tuple[Stage, ...] | None:
        """Take one turn of the first stage; None while it goes on, else the stages that it turned out
        to need."""
        self.clock.go_on()
        try:
            if self.doing is None:
                self.doing = self.stages[0][1]()
            self.mail.post(*next(self.doing))
        except StopIteration as end:
            return end.value or ()
        except Exception as problem:
            self.failed = problem
            return ()
        finally:
            self.clock.rest()
        return None


class Line:
    """Who waits for a lane, and the order of their turns.

    Rounds are fair by time: in each, a visitor may have `SECONDS_OF_A_ROUND`; a further run of theirs
    counts as a round later, and who comes has had as much as those who had least. Within a round come
    first those that are to stop, then those that have shown nothing yet, then the rest as they came:
    everybody sees a first step soon, and of short runs the first ends first.
    """

    def __init__(self) -> None:
        self.waiting: list[Work] = []
        self.working: set[Work] = set()
        self._came = itertools.count()
        self._had: dict[str, float] = {}
        self._first: deque[float] = deque(maxlen=OF_LATE)
        self._whole: deque[float] = deque(maxlen=OF_LATE)

    @property
    def all(self) -> list[Work]:
        return [*self.working, *self.waiting]

    def enter(self, work: Work) -> None:
        """A work, or its next stage, comes."""
        there = self.all
        self._had = {each.visitor: self._had[each.visitor] for each in there}
        self._had.setdefault(work.visitor, min(self._had.values(), default=0.0))
        work.number, work.behind = next(self._came), sum(w.visitor == work.visitor for w in there)
        work.doing, work.had, work.since = None, 0.0, time.monotonic()
        self.waiting.append(work)

    def take(self) -> Work | None:
        """The work whose turn it is; None where none may go on or begin."""
        full = sum(each.doing is not None for each in self.all) >= MOST_BEGUN
        may = [each for each in self.waiting if each.doing is not None or not full]
        if not may:
            return None
        work = min(may, key=self._rank)
        self.waiting.remove(work)
        self.working.add(work)
        return work

    def took(self, work: Work, seconds: float, over: bool) -> None:
        """The work has had its turn; unless its stage is over, it waits for the next."""
        self.working.discard(work)
        self._had[work.visitor] += seconds
        work.had += seconds
        work.since = time.monotonic()
        if not work.showed and work.mail.has(SHOWN):
            work.showed = True
            self._first.append(work.had)
        if not over:
            self.waiting.append(work)
        elif work.failed is None and not work.stop.is_set():
            self._whole.append(work.had)

    def hand(self, work: Work, visitor: str) -> None:
        """The work is another visitor's from now on."""
        self._had.setdefault(visitor, self._had[work.visitor])
        work.behind = sum(each.visitor == visitor for each in self.all)
        work.visitor = visitor

    def wait(self, work: Work) -> Wait | None:
        """Where the work stands; None while it has its turn, or had it a moment ago."""
        begun = work.doing is not None
        resting = begun and time.monotonic() - work.since < SECONDS_BETWEEN_LINES
        if work not in self.waiting or resting:
            return None
        ahead = [each for each in self.all if self._rank(each) < self._rank(work)]
        place = 1 + sum(each in self.waiting for each in ahead)
        return Wait(place, self._needed(ahead), begun)

    def _rank(self, work: Work) -> tuple[int, bool, bool, int]:
        rounds = int(self._had[work.visitor] // SECONDS_OF_A_ROUND)
        return rounds + work.behind, not work.stop.is_set(), work.showed, work.number

    def _needed(self, ahead: Sequence[Work]) -> float | None:
        """Seconds until these have shown something, or have ended where they had; None where nothing
        of the kind was measured yet."""
        if not self._first or not self._whole:
            return None
        first, whole = statistics.median(self._first), statistics.median(self._whole)
        return sum(max(0.0, (whole if each.showed else first) - each.had) for each in ahead)


class Desk:
    """Takes work and sees to it, lane by lane, turn by turn."""

    def __init__(self, lanes: Mapping[str, int] = LANES) -> None:
        self.lanes = dict(lanes)
        self._lines = {lane: Line() for lane in lanes}
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._closed = False

    def submit(self, work: Work, most: int = MOST_OF_ONE) -> Work:
        """Take the work; raises Full where its visitor, or all together, have too much waiting."""
        with self._changed:
            if sum(each.visitor == work.visitor for each in self._all()) >= most:
                raise Full(
                    f"{most} of your runs are under way already.",
                    "Wait until one of them has ended.",
                )
            if sum(len(line.waiting) for line in self._lines.values()) >= MOST_WAITING:
                raise Full("Too many runs are waiting.", "Try again in a minute.")
            self._open()
            self._enter(work)
        return work

    def hand(self, work: Work, visitor: str) -> None:
        """Whoever asked first has left the work to others: it takes no more of their turns."""
        with self._changed:
            line = self._lines.get(work.lane)
            if line is not None and work in line.all:
                line.hand(work, visitor)

    def wait(self, work: Work) -> Wait | None:
        """Where the work stands in its line; None while it is worked on."""
        with self._changed:
            line = self._lines.get(work.lane)
            return line.wait(work) if line else None

    def close(self, patience: float = 10.0) -> None:
        """Stop everything and wait for the threads: torch does not survive being cut off."""
        with self._changed:
            self._closed = True
            for each in self._all():
                each.stop.set()
            for line in self._lines.values():
                for each in line.waiting:
                    each.over.set()
                line.waiting.clear()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(patience)

    def _all(self) -> list[Work]:
        return [work for line in self._lines.values() for work in line.all]

    def _open(self) -> None:
        if self._threads:
            return
        for lane, width in self.lanes.items():
            for _ in range(width):
                thread = threading.Thread(target=self._serve, args=(lane,), daemon=True)
                self._threads.append(thread)
                thread.start()
        atexit.register(self.close)

    def _enter(self, work: Work) -> None:
        self._lines[work.lane].enter(work)
        self._changed.notify_all()

    def _serve(self, lane: str) -> None:
        while (work := self._next(lane)) is not None:
            began = time.perf_counter()
            more = work.advance()
            seconds = time.perf_counter() - began
            with self._changed:
                over = more is not None or self._closed
                self._lines[lane].took(work, seconds, over)
                self._changed.notify_all()
                if not over:
                    continue
                work.doing = None
                work.stages = () if work.failed else (*(more or ()), *work.stages[1:])
                if work.stages and not self._closed:
                    self._enter(work)
                    continue
            work.mail.close()
            work.over.set()

    def _next(self, lane: str) -> Work | None:
        with self._changed:
            while not self._closed:
                if (work := self._lines[lane].take()) is not None:
                    return work
                self._changed.wait()
        return None


async def watch(
    desk: Desk, work: Work, seen: int = 0, present: Callable[[], bool] = lambda: True
) -> AsyncIterator[list[Told]]:
    """What the work has to say, as it says it: all that is new, at once; where it stands in the LINE
    while it waits, and nothing now and then, as a sign of life.

    Ends with the work, or where nobody is `present`: reading costs no thread, so any number may.
    """
    sign, line, stood = time.monotonic(), -SECONDS_BETWEEN_LINES, None
    while present():
        over = work.over.is_set()  # looked at first: what is said last must not be missed
        news, seen = work.mail.since(seen)
        now = time.monotonic()
        if not over and not news and now - line >= SECONDS_BETWEEN_LINES:
            line, stands = now, desk.wait(work)
            if stands is not None and stands != stood:
                news = [(LINE, stands)]
            stood = stands
        if news:
            sign = now
            yield news
        elif now - sign > SECONDS_BETWEEN_SIGNS:
            sign = now
            yield []
        if over:
            return
        await asyncio.sleep(SECONDS_BETWEEN_LOOKS)
