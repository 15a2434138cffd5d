"""A visitor's run of the masked room: what they asked for, and its reports at every multiple of the
scores."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from demo.kit import models, picture, reporting
from demo.kit.controls import plain, whole
from demo.kit.loading import load
from demo.kit.picture import Picture
from demo.kit.reporting import Choice, Event, Reporting
from demo.kit.store import Values
from engine.core.errors import BadTask
from engine.model import zoo
from engine.model.zoo import Card
from engine.papers.aas import paper
from engine.papers.aas.ladder import RUNGS, Ladder, ladder
from engine.papers.aas.paper import Settings
from engine.papers.paper import Exhibit

PATIENCE_SECONDS = 90.0  # everybody else on this machine waits for it
EPS, STEPS = 1, 20  # of the default run
FAMILIES = ("vit", "vision_transformer", "deit", "pit", "cait", "visformer")
"""Whose scores are in the open, one row a query, not window by window."""
PER = {"block": "One for each block", "head": "One for each head"}
Question = reporting.Question[Settings]
Trial = Reporting[Settings, Ladder]


def offered(weights: Path | None) -> list[tuple[str, str]]:
    """(title, name) of the models on this machine whose scores can be looked at: what ships first."""
    here = [each for each in zoo.cards(weights) if zoo.available(each) == "here" and _open(each)]
    return [(each.title, each.name) for each in sorted(here, key=_rank)]


def _rank(card: Card) -> int:
    """Plain models, then the robust ones, then what else lies here."""
    return [*models.PURPOSES].index(card.task) if card.source == "bundled" else len(models.PURPOSES)


def _open(card: Card) -> bool:
    return card.family in FAMILIES and card.task != "sparsify"


def question(values: Values, weights: Path | None) -> Question:
    """The run as the controls stand; raises EngineError."""
    per = str(values["per"] or "")
    settings = Settings(
        eps=whole("eps", values["eps"]) / 255, steps=whole("steps", values["steps"]), per=per
    )
    source = Picture.of(values["source"])
    exhibit = Exhibit(source.image, source.stem, str(values["model"] or ""), weights=weights)
    if not _open(card := zoo.card(exhibit.model, weights)):
        raise BadTask(
            f"{card.title} does not show its scores row by row.",
            "Choose a ViT, DeiT, PiT, CaiT or Visformer.",
        )
    return Question(exhibit, settings, "PGD", chosen(values, weights))


def chosen(values: Values, weights: Path | None) -> Choice:
    """What the controls stand for, part by part in words: equal where a run would be the same."""
    source, model, per = (str(values[name] or "") for name in ("source", "model", "per"))
    titles = {name: title for title, name in offered(weights)}
    return {
        "picture": picture.title_of(source),
        "source": source,
        "model": titles.get(model, model),
        "eps": f"{plain(values['eps'])}/255",
        "steps": f"{plain(values['steps'])} steps",
        "per": f"factors: {PER.get(per, per).lower()}",
    }


def drive(trial: Trial, patience: float = PATIENCE_SECONDS) -> Iterator[Event]:
    """Read the model and climb the ladder, until it is stopped, or until patience ends."""
    exhibit = trial.question.exhibit
    yield from load([exhibit.model], exhibit.weights)
    victim, asked, trial.made = paper.begin(exhibit, trial.question.settings)
    yield from trial.grow(partial(ladder, victim, asked, RUNGS), patience)
