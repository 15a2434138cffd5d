"""A probe: one thing that is read of a recorded pass, as a value that everything else iterates over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar, cast

from engine.model.sites import Site
from engine.model.victim import Forward, Spec, Victim

Reading = TypeVar("Reading")


class Seen(NamedTuple):
    """Picture `picture` of a recorded pass through `victim`, and the pass of the clean picture."""

    out: Forward
    victim: Victim
    clean: Forward
    picture: int = 0


@dataclass(frozen=True)
class Table(Generic[Reading]):
    """Numbers of a reading over common places, as lines by name (one line: no name).

    Without `clean` the clean picture's own line, which says nothing, is left out.
    """

    title: str
    unit: str
    lines: Callable[[Reading], Mapping[str, Sequence[float]]]
    place: str = "block"
    places: Callable[[Reading], Sequence[str | int]] | None = None
    decades: bool = False
    clean: bool = True


@dataclass(frozen=True)
class Lacks:
    """Why a model has nothing to read, as the ends of three sentences about it."""

    here: str
    convolutional: str
    windowed: str

    def said(self, spec: Spec) -> str:
        """What follows the model's name, without a full stop."""
        if _windowed(spec):
            return f"works in windows: {self.windowed}"
        if spec.blocks and not any(shape.heads for shape in spec.blocks):
            return f"is a convolutional network: {self.convolutional}"
        return self.here


def _windowed(spec: Spec) -> bool:
    """Windows are folded into the batch, so that little in there is still one picture's."""
    return any(shape.window for shape in spec.blocks)


@dataclass(frozen=True)
class Probe(Generic[Reading]):
    """`read` needs `sites` (values) and `gradients` seen in a pass; it returns a frozen reading.

    `compared` are sites that must be kept of the clean pass. A probe with `on` is read in a pass of
    its own through `on(victim)`, which gives `families` their sites and raises UnsupportedModel where
    it cannot. `summary` is a few numbers for a report. `windows` says that it can be read where a
    model works in windows.
    """

    name: str
    title: str
    read: Callable[[Seen], Reading]
    summary: Callable[[Reading], Mapping[str, Any]]
    table: Table[Reading]
    without: Lacks
    sites: frozenset[Site] = frozenset()
    gradients: frozenset[Site] = frozenset()
    compared: frozenset[Site] = frozenset()
    on: Callable[[Victim], Victim] | None = None
    families: frozenset[str] = frozenset()
    windows: bool = False
    models: str = "models with these sites"

    def lacks(self, spec: Spec) -> str | None:
        """Why this model has nothing to read, to follow its name; None where it has."""
        there = self.sites | self.gradients <= spec.sites or spec.family in self.families
        # Where only a class token asks, gradients of a block's parts are over different tokens.
        uneven = self.gradients and any(shape.queries for shape in spec.blocks)
        if there and not uneven and (self.windows or not _windowed(spec)):
            return None
        return self.without.said(spec)

    def reads(self, out: Forward) -> bool:
        """Whether a pass recorded what is needed; a place without influence records no gradient."""
        graded = not self.gradients or any(at.site in self.gradients for at in out.grads)
        return graded and self.sites <= {at.site for at in out.seen}

    def of(self, readings: Mapping[str, object]) -> Reading | None:
        """This probe's reading among those of a frame."""
        return cast("Reading | None", readings.get(self.name))
