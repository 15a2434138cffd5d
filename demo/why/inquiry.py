"""One visitor's comparison as it runs: the paper's own, as far as it has come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from demo.kit.identity import digest, weights_of
from demo.kit.job import Job
from demo.kit.loading import Loading, load
from demo.kit.store import sizeof
from engine.attack.recipes.tgr import TGR
from engine.papers.paper import Exhibit
from engine.papers.tgr.compare import VARIANTS, Comparison, Reading, answered, begin, compare

PATIENCE_SECONDS = 60.0


@dataclass(eq=False)
class Inquiry(Job):
    """What is compared with TGR as it is set, and what was found once the source is read.

    Rounds are whole; answers follow at the end, and none where no step was done.
    """

    exhibit: Exhibit
    tgr: TGR
    found: Comparison | None = None

    @property
    def rounds(self) -> int:
        """Steps that every variant has taken."""
        return 0 if self.found is None else len(self.found.rounds)

    @property
    def outcome(self) -> Comparison | None:
        return self.found

    @property
    def key(self) -> str:
        exhibit = self.exhibit
        return digest(exhibit, self.tgr, weights_of(exhibit.models, exhibit.weights))

    @property
    def bytes(self) -> int:
        return 0 if self.found is None else sizeof(self.found.rounds)


def drive(
    inquiry: Inquiry, patience: float = PATIENCE_SECONDS
) -> Iterator[Loading | Comparison | Reading]:
    """Compare to the end, until it is stopped, or patience ends; an unfinished round is dropped."""
    exhibit, tgr = inquiry.exhibit, inquiry.tgr
    for event in load(exhibit.models, exhibit.weights):
        yield event
        if inquiry.stop.is_set():
            inquiry.why = "stopped"
            return
    found = inquiry.found = begin(exhibit, tgr)
    yield found
    limit, current = inquiry.limit(patience), list[Reading]()
    for reading in compare(found.subject, tgr):
        if limit.over():
            break
        current.append(reading)
        if len(current) == len(VARIANTS):
            found = inquiry.found = replace(found, rounds=(*found.rounds, tuple(current)))
            current.clear()
        yield reading
    if found.rounds:
        inquiry.found = answered(found, exhibit)
    inquiry.why = limit.why(len(found.rounds) == tgr.steps)
