"""What a visitor asked to be computed, kept between their visits, and when it must end."""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Literal

Ending = Literal["finished", "stopped", "late", "paused"]


@dataclass(kw_only=True, eq=False)
class Job:
    """Base of what pages compute: its place (a page in a tab), the flag that stops it, why it ended.

    `stop` is looked at between steps; `why` is None until the work has come to an end.
    """

    place: str = ""
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    stop: threading.Event = field(default_factory=threading.Event)
    why: Ending | None = None

    @property
    def bytes(self) -> int:
        """What keeping it costs."""
        return 0

    @property
    def outcome(self) -> Any:
        """What the engine has found so far; None where nothing is."""
        return None

    def limit(self, seconds: float) -> Limit:
        """From now on it may go on for so long."""
        return Limit(self.stop, time.monotonic() + seconds)


@dataclass(frozen=True)
class Limit:
    """A job's work must end when it is stopped, or at a time of `time.monotonic`."""

    stop: threading.Event
    until: float

    def over(self) -> bool:
        return self.stop.is_set() or time.monotonic() > self.until

    def why(self, finished: bool) -> Ending:
        """How work ends that was finished, or was not when the limit was over."""
        if finished:
            return "finished"
        return "stopped" if self.stop.is_set() else "late"
