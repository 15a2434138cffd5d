"""A visitor's run of the tokens room: what they asked for, driven attacker by attacker, and its report."""

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
from engine.model import tokenfile, zoo
from engine.papers.paper import Exhibit
from engine.papers.robustness_tokens import paper
from engine.papers.robustness_tokens.compare import Report, report
from engine.papers.robustness_tokens.paper import Settings

PATIENCE_SECONDS = 180.0  # everybody else on this machine waits for it; training takes two thirds
EPS, STEPS = 2, 20  # of the default run
COUNT, TRAINING = 10, 60
MOST_COUNT, MOST_TRAINING = 50, 100
HERE, NEW = "here", "new"
TOKENS = {HERE: "Trained beforehand", NEW: "New ones, trained now"}
ATTACK = "Feature PGD and PGD"
Question = reporting.Question[Settings]
Trial = Reporting[Settings, Report]


def offered(weights: Path | None) -> list[tuple[str, str]]:
    """(title, name) of the models on this machine for which there are tokens, what ships first."""
    cards = [each for each in zoo.cards(weights) if zoo.available(each) == "here"]
    known = {each.name for each in tokenfile.listed()}
    return [(each.title, each.name) for each in cards if each.name in known]


def question(values: Values, weights: Path | None) -> Question:
    """The run as the controls stand; raises EngineError."""
    model = str(values["model"] or "")
    if not model:
        raise BadTask("There is no model.", "Choose one of those for which there are tokens here.")
    new = values["tokens"] == NEW
    training = whole("training steps", values["training"]) if new else 0
    if new and training < 1:
        raise BadTask("Tokens are trained for at least one step.", "Choose more steps.")
    settings = Settings(
        count=whole("tokens", values["count"]) if new else COUNT,
        train=training,
        eps=whole("eps", values["eps"]) / 255,
        steps=whole("steps", values["steps"]),
    )
    source = Picture.of(values["source"])
    label = source.shows(model, weights)
    exhibit = Exhibit(source.image, source.stem, model, label=label, weights=weights)
    return Question(exhibit, settings, ATTACK, chosen(values, weights))


def chosen(values: Values, weights: Path | None) -> Choice:
    """What the controls stand for, part by part in words: equal where a run would be the same."""
    source, model = (str(values[name] or "") for name in ("source", "model"))
    titles = {name: title for title, name in offered(weights)}
    return {
        "picture": picture.title_of(source),
        "source": source,
        "model": titles.get(model, model) or "no model",
        "tokens": _tokens(values),
        "eps": f"{plain(values['eps'])}/255",
        "steps": f"{plain(values['steps'])} steps",
    }


def _tokens(values: Values) -> str:
    if values["tokens"] != NEW:
        return "tokens trained beforehand"
    return f"{plain(values['count'])} tokens trained for {plain(values['training'])} steps"


def drive(trial: Trial, patience: float = PATIENCE_SECONDS) -> Iterator[Event]:
    """Read the model and work to the end, until it is stopped, or until patience ends: then the report
    is told once more, as one that nothing follows."""
    exhibit = trial.question.exhibit
    yield from load([exhibit.model], exhibit.weights)
    victim, asked, trial.made = paper.begin(exhibit, trial.question.settings)
    yield from trial.grow(partial(report, victim, asked), patience)
    if trial.why != "finished" and trial.report is not None:
        yield trial.report
