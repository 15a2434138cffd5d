"""What a visitor asked to be computed, kept between their visits, and when it must end."""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Literal

Ending = Literal["finished", "stopped", "late", "paused"]


class Clock:
    """Seconds that go by, without those in which it rests: others have their turn then."""

    def __init__(self) -> None:
        self._rested = 0.0
        self._since: float | None = None

    def now(self) -> float:
        return (time.monotonic() if self._since is None else self._since) - self._rested

    def rest(self) -> None:
        self._since = time.monotonic()

    def go_on(self) -> None:
        if self._since is not None:
            self._rested += time.monotonic() - self._since
            self._since = None


@dataclass(kw_only=True, eq=False)
class Job:
    """Base of what pages compute: the place (a page in a tab) that asked first, the flag that stops
    it, why it ended.

    `stop` is looked at between steps; `clock` rests while others have their turn; `why` is None until
    the work has come to an end.
    """

    place: str = ""
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    stop: threading.Event = field(default_factory=threading.Event)
    clock: Clock = field(default_factory=Clock, repr=False)
    why: Ending | None = None

    @property
    def key(self) -> str | None:
        """What makes two jobs the same computation: a digest of all that the result hangs on, and of
        all that is told of it; None where it is shared with nobody."""
        return None

    @property
    def bytes(self) -> int:
        """What keeping it costs."""
        return 0

    @property
    def outcome(self) -> Any:
        """What the engine has found so far; None where nothing is."""
        return None

    def limit(self, seconds: float) -> Limit:
        """From now on it may work for so long."""
        return Limit(self.stop, self.clock, self.clock.now() + seconds)


@dataclass(frozen=True)
class Limit:
    """A job's work must end when it is stopped, or at a time of its own clock."""

    stop: threading.Event
    clock: Clock
    until: float

    def over(self) -> bool:
        return self.stop.is_set() or self.clock.now() > self.until

    def why(self, finished: bool) -> Ending:
        """How work ends that was finished, or was not when the limit was over."""
        if finished:
            return "finished"
        return "stopped" if self.stop.is_set() else "late"
