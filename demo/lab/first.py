"""The run that stands on the page before anyone presses anything: `python -m demo.lab.first`.

It is the default request, computed by the engine with the bundled model and written with a hash
of that model and of the code that packs results for the views; the page shows it only while that
is the model and the code it has, and else what it was warmed up with.
"""

from __future__ import annotations

import atexit
import math
import sys
import threading
from pathlib import Path
from typing import Any

from demo.kit import pictures
from demo.kit import stored as files
from demo.kit.store import Job
from demo.lab import views
from demo.lab.running import Ended, drive
from engine.attack.catalog import recipe
from engine.model import zoo
from engine.studio import Request

FILE = "first_run.json"
VIEWS = Path(views.__file__).parent
ID = "first"
MOST_OTHERS = 3
EPS = 8 / 255


def request(weights: Path | None = None) -> Request | None:
    """The default request: first model here, first sample, MI-FGSM at an eps nobody sees."""
    here = [
        each
        for each in zoo.cards(weights)
        if zoo.available(each) == "here" and each.task == "classify"
    ]
    shown = pictures.listed()
    if not here or not shown:
        return None
    others = [each.name for each in here[1:] if each.source == "bundled"]
    return Request(
        pictures.read(pictures.SAMPLE + shown[0].id),
        here[0].name,
        recipe("mifgsm", eps=EPS),
        others=tuple(others[:MOST_OTHERS]),
        weights=weights,
    )


def stored(weights: Path | None = None) -> dict[str, Any] | None:
    """What was computed earlier for the views, if it was with the very model that is here."""
    asked = request(weights)
    return None if asked is None else files.read(FILE, made_of(asked))


def made_of(asked: Request) -> str:
    """A hash of the model's weights and of what turns results into messages."""
    code = (VIEWS / name for name in ("payload.py", "packing.py"))
    return files.made_of([asked.model], code, asked.weights)


class Warm:
    """The default run, computed once in the background: it warms the model, and a visitor who
    selects a patch in the shown result is answered from it."""

    def __init__(self, weights: Path | None = None) -> None:
        asked = request(weights)
        self.job = None if asked is None else Job(asked, id=ID)
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> None:
        if self.job is not None:
            self._thread.start()
            atexit.register(self._end)

    def done(self, patience: float = 30.0) -> Job | None:
        """The job once it has its result, waiting for it if need be."""
        if self._thread.ident is not None:
            self._thread.join(patience)
        return self.job if self.job is not None and self.job.result is not None else None

    def _end(self) -> None:
        # A thread that is inside torch when the interpreter goes down takes it down with a crash.
        if self.job is not None:
            self.job.stop.set()
            self._thread.join()

    def _work(self) -> None:
        if self.job is not None:
            for _ in drive(self.job, patience=math.inf):
                pass


def main() -> int:
    """Compute the default run and write what the views need of it."""
    asked = request()
    if asked is None:
        print("first_run: no model or no sample on this machine", file=sys.stderr)
        return 2
    job = Job(asked, id=ID)
    ended = [event for event in drive(job, patience=math.inf) if isinstance(event, Ended)][-1]
    assert ended.result is not None
    files.write(FILE, made_of(asked), views.payload(ended.result, ID))
    return 0


if __name__ == "__main__":
    sys.exit(main())
