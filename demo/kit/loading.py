"""Models on their way into memory: fetched from the hub, and read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.model import hub, zoo
from engine.model.hub import Download


@dataclass(frozen=True)
class Fetching:
    """Weights of a model are on their way from the hub."""

    title: str
    download: Download


@dataclass(frozen=True)
class Loading:
    """A model that is on this machine is being read."""

    title: str


def missing(models: Iterable[str], weights: Path | None) -> bool:
    """Whether one of the models must be fetched first; raises UnknownName."""
    return any(zoo.available(zoo.card(name, weights)) != "here" for name in models)


def bring(models: Iterable[str], weights: Path | None) -> Iterator[Fetching]:
    """Bring models onto this machine; raises WeightsUnavailable, UnknownName."""
    for name in models:
        card = zoo.card(name, weights)
        if zoo.available(card) != "here":
            for download in hub.fetch(zoo.repository(card), card.title):
                yield Fetching(card.title, download)


def load(models: Iterable[str], weights: Path | None) -> Iterator[Loading]:
    """Read models into memory, where `zoo.load` then finds them; raises EngineError."""
    for name in models:
        yield Loading(zoo.card(name, weights).title)
        zoo.load(name, weights)
