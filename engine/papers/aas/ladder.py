"""One picture's reports with scores times ever more: the positive control, from the model as it is
to one whose softmax is as good as hard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from engine.evaluate.progress import Progress
from engine.model.victim import Victim
from engine.papers import report as papers
from engine.papers.aas import export
from engine.papers.aas.compare import Asked, Report, report
from engine.papers.export import Made
from engine.papers.report import Stopped

RUNGS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""What scores are multiplied by: the model as it is, then half a decade at a time."""


@dataclass(frozen=True, kw_only=True)
class Ladder(papers.Report):
    """The reports so far, lowest rung first; those of `cs` that are not there yet follow.

    `steps` are the attacks that were tried, of those `asked` on the rungs that are there.
    """

    counted = "attacks"
    cs: tuple[float, ...]
    rungs: tuple[Report, ...]

    @property
    def whole(self) -> bool:
        return len(self.rungs) == len(self.cs) and all(each.whole for each in self.rungs)


def ladder(
    victim: Victim,
    asked: Asked,
    cs: tuple[float, ...] = RUNGS,
    stopped: Stopped = lambda: False,
) -> Iterator[Progress | Ladder]:
    """First every rung's clean picture, then every rung's attacks; raises what `report` raises.

    `asked.c` does not count. Stopped, what would follow is left out.
    """
    found = dict[float, Report]()
    working = {c: report(victim, replace(asked, c=c), stopped) for c in cs}
    for clean in (True, False):
        for c, events in working.items():
            for event in events:
                if isinstance(event, Report):
                    found[c] = event
                    yield _so_far(cs, found)
                    if clean:
                        break
                else:
                    yield replace(event, what=f"scores × {c:g}: {event.what}")
            if stopped() and found:
                return


def _so_far(cs: tuple[float, ...], found: dict[float, Report]) -> Ladder:
    rungs = tuple(found.values())
    return Ladder(
        steps=sum(len(each.outcomes) for each in rungs),
        asked=sum(each.asked for each in rungs),
        cs=cs,
        rungs=rungs,
    )


SCHEMA = "vit-adversarial-lab/masking-ladder/1"
LONG = ("edges_of_bins", "rows_by_block_head_and_bin")
"""What a single rung's own summary has and these have not: most of its bytes."""


def summary(found: Ladder, made: Made) -> dict[str, Any]:
    """Every rung's summary as plain data, versioned, without the histograms."""
    rungs = (export.summary(each, made) for each in found.rungs)
    return {
        "schema": SCHEMA,
        **made.origin,
        "rungs": [{k: v for k, v in each.items() if k not in LONG} for each in rungs],
    }


def table(data: Mapping[str, Any]) -> str:
    """The blocks of every rung of a `summary` as CSV."""
    first, *others = (export.table(each).splitlines(keepends=True) for each in data["rungs"])
    return "".join([*first, *(line for each in others for line in each[1:])])
