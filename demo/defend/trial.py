"""A visitor's run of Defend: what they asked for, driven budget by budget, and its report."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from demo.kit import picture, reporting
from demo.kit.controls import plain, whole
from demo.kit.loading import load
from demo.kit.picture import Picture
from demo.kit.reporting import Choice, Event, Reporting
from demo.kit.store import Values
from engine.core.errors import BadTask
from engine.papers.aas_at import contenders, paper
from engine.papers.aas_at.compare import Report, report
from engine.papers.aas_at.paper import ATTACKS, Settings
from engine.papers.paper import Exhibit

PATIENCE_SECONDS = 90.0  # everybody else on this machine waits for it
STEPS = 20  # of the default run, at each budget
CONTROL = 30.0
Question = reporting.Question[Settings]
Trial = Reporting[Settings, Report]


def offered(weights: Path | None) -> list[tuple[str, str]]:
    """(title, name) of the plain models on this machine and of what was trained from them."""
    cards = contenders.offered(weights)
    return [(title, each.name) for each, title in zip(cards, contenders.titles(cards), strict=True)]


def attacks() -> list[tuple[str, str]]:
    """(words, name) of the attacks on offer."""
    return [(words, name) for name, words in ATTACKS.items()]


def question(values: Values, weights: Path | None) -> Question:
    """The run as the controls stand; raises EngineError."""
    attack, names = str(values["attack"] or ""), _names(values)
    if attack not in ATTACKS:
        raise BadTask("There is no attack.", "Choose one.")
    settings = Settings(attack, whole("steps", values["steps"]), _control(values))
    source = Picture.of(values["source"])
    contenders.fit(names, settings.control, weights)
    label = source.shows(names[0], weights)
    exhibit = Exhibit(source.image, source.stem, names[0], tuple(names[1:]), label, weights=weights)
    return Question(exhibit, settings, ATTACKS[attack], chosen(values, weights))


def chosen(values: Values, weights: Path | None) -> Choice:
    """What the controls stand for, part by part in words: equal where a run would be the same."""
    source = str(values["source"] or "")
    titles = [title for title, name in offered(weights) if name in _names(values)]
    return {
        "picture": picture.title_of(source),
        "source": source,
        "model": ", ".join([*titles, *["control"] * bool(_control(values))]) or "no model",
        "attack": ATTACKS.get(str(values["attack"] or ""), "no attack"),
        "steps": f"{plain(values['steps'])} steps",
    }


def drive(trial: Trial, patience: float = PATIENCE_SECONDS) -> Iterator[Event]:
    """Read the models and work to the end, until it is stopped, or until patience ends."""
    exhibit = trial.question.exhibit
    yield from load(exhibit.models, exhibit.weights)
    models, attack, trial.made = paper.begin(exhibit, trial.question.settings)
    yield from trial.grow(partial(report, exhibit, models, attack), patience)


def _names(values: Values) -> list[str]:
    return [str(each) for each in values["model"] or ()]


def _control(values: Values) -> float:
    return CONTROL if values["control"] else 0.0
