"""The default run, computed once at the desk when the application starts."""

from __future__ import annotations

import logging
import math
from collections.abc import Generator

from demo.kit.desk import STATUS, Told, Work
from demo.kit.door import Shared
from demo.lab import first
from demo.lab.running import Attempt, drive

log = logging.getLogger(__name__)


class Warm:
    """It warms the model, and a visitor who selects a patch in the shown result is answered from it."""

    def __init__(self, shared: Shared) -> None:
        asked = first.request(shared.weights)
        self._desk = shared.store.desk
        self._work: Work | None = None
        self.attempt = None if asked is None else Attempt(asked, id=first.ID)

    def start(self) -> None:
        if self.attempt is not None:
            work = Work("the house", (("torch", self._steps),), self.attempt.stop)
            self._work = self._desk.submit(work)

    def done(self, patience: float = 30.0) -> Attempt | None:
        """The attempt once it has its result, waiting for it if need be."""
        if self._work is not None:
            self._work.over.wait(patience)
        found = self.attempt
        return found if found is not None and found.result is not None else None

    def _steps(self) -> Generator[Told, None, None]:
        assert self.attempt is not None
        try:
            for _ in drive(self.attempt, patience=math.inf):
                yield STATUS, ""
        except Exception:
            log.exception("the first run failed")
            raise
