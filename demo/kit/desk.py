"""Who computes when: every run waits here for its turn and is driven by a thread of ours.

A run is never driven by the connection that asked for it, so a visitor who reloads, goes to another
page or stops reading changes nothing but what they see: whoever comes back is told where it stands.
Turns are dealt fairly: a visitor with many runs waits behind those who have had fewer.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.core.errors import EngineError

log = logging.getLogger(__name__)

# How many go on at once. One run at a time has the machine; experiments last minutes, so several
# share it step by step; reading pictures and waiting for the network hold nobody else up.
LANES = {"torch": 1, "transfer": 3, "read": 2, "hub": 2}
MOST_WAITING = 400
MOST_OF_ONE = 4
SECONDS_BETWEEN_LOOKS = 0.1
SECONDS_BETWEEN_SIGNS = 5.0
OPENING, SHOWN, STATUS, LINE = "opening", "shown", "status", "line"
Told = tuple[str, Any]
Saying = Generator[Told, None, None]
# A lane, and what is done there; it may return further stages, which then come next.
Stage = tuple[str, Callable[[], Generator[Told, None, "tuple[Stage, ...] | None"]]]


class Busy(EngineError):
    """The desk takes no more."""


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

    @property
    def kept(self) -> list[Any]:
        """Everything that whoever comes now would be told."""
        with self._lock:
            return [value for _, value in self._latest.values()]


@dataclass(eq=False)
class Work:
    """Something to be computed for a visitor, in stages that each need their own lane."""

    visitor: str
    stages: tuple[Stage, ...]
    stop: threading.Event = field(default_factory=threading.Event)
    mail: Mail = field(default_factory=Mail)
    failed: Exception | None = None
    over: threading.Event = field(default_factory=threading.Event)
    turn: int = 0

    @property
    def lane(self) -> str:
        return self.stages[0][0] if self.stages else ""


class Desk:
    """Takes work and sees to it, lane by lane, in fair turns."""

    def __init__(self, lanes: Mapping[str, int] = LANES) -> None:
        self.lanes = dict(lanes)
        self._waiting: dict[str, list[Work]] = {lane: [] for lane in lanes}
        self._working: set[Work] = set()
        self._turns: dict[str, int] = {}
        self._now = 0
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._closed = False

    def submit(self, work: Work, most: int = MOST_OF_ONE) -> Work:
        """Take the work; raises Busy where its visitor, or all together, have too much waiting."""
        with self._changed:
            mine = [each for each in self._all() if each.visitor == work.visitor]
            if len(mine) >= most:
                raise Busy(
                    f"{most} of your runs are under way already.",
                    "Wait until one of them has ended.",
                )
            if sum(map(len, self._waiting.values())) >= MOST_WAITING:
                raise Busy("Too many runs are waiting.", "Try again in a minute.")
            self._open()
            self._enter(work)
        return work

    def before(self, work: Work) -> int:
        """How many turns come before this work's; 0 once it is under way."""
        with self._changed:
            line = sorted(self._waiting.get(work.lane, ()), key=lambda each: each.turn)
            return line.index(work) + 1 if work in line else 0

    def close(self, patience: float = 10.0) -> None:
        """Stop everything and wait for the threads: torch does not survive being cut off."""
        with self._changed:
            self._closed = True
            for each in self._all():
                each.stop.set()
            for line in self._waiting.values():
                for each in line:
                    each.over.set()
                line.clear()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(patience)

    def _all(self) -> list[Work]:
        return [*self._working, *(each for line in self._waiting.values() for each in line)]

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
        """Start-time fair queueing: the next turn of its visitor, not before the turn that is now."""
        work.turn = self._turns[work.visitor] = max(self._now, self._turns.get(work.visitor, 0)) + 1
        self._waiting[work.lane].append(work)
        self._changed.notify_all()

    def _serve(self, lane: str) -> None:
        while (work := self._next(lane)) is not None:
            more = _see_to(work)
            with self._changed:
                self._working.discard(work)
                work.stages = (*more, *work.stages[1:]) if work.failed is None else ()
                if work.stages and not self._closed:
                    self._waiting[work.lane].append(work)
                    self._changed.notify_all()
                    continue
            work.mail.close()
            work.over.set()

    def _next(self, lane: str) -> Work | None:
        with self._changed:
            while not self._closed:
                if line := self._waiting[lane]:
                    work = min(line, key=lambda each: each.turn)
                    line.remove(work)
                    self._now = max(self._now, work.turn)
                    self._turns = {v: t for v, t in self._turns.items() if t > self._now}
                    self._working.add(work)
                    return work
                self._changed.wait()
        return None


def _see_to(work: Work) -> tuple[Stage, ...]:
    """Do the work's first stage; gives the stages that it turned out to need."""
    try:
        _, act = work.stages[0]
        doing = act()
        while True:
            work.mail.post(*next(doing))
    except StopIteration as end:
        return end.value or ()
    except Exception as problem:
        work.failed = problem
        return ()


async def watch(
    desk: Desk, work: Work, seen: int = 0, present: Callable[[], bool] = lambda: True
) -> AsyncIterator[list[Told]]:
    """What the work has to say, as it says it: all that is new, at once; its place in the LINE while
    it waits, and nothing now and then, as a sign of life.

    Ends with the work, or where nobody is `present`: reading costs no thread, so any number may.
    """
    sign, line = time.monotonic(), -1
    while True:
        over = work.over.is_set()  # looked at first: what is said last must not be missed
        news, seen = work.mail.since(seen)
        if not over and not news and (place := desk.before(work)) != line:
            line = place
            if place:
                news = [(LINE, place)]
        if news:
            yield news
        now = time.monotonic()
        if over or not present():
            return
        if news:
            sign = now
        elif now - sign > SECONDS_BETWEEN_SIGNS:
            sign = now
            yield []
        await asyncio.sleep(SECONDS_BETWEEN_LOOKS)
