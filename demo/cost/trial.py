"""A visitor's run of the Cost page: what they asked for, driven step by step, and its report."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from demo.kit import picture, reporting
from demo.kit.controls import plain, whole
from demo.kit.loading import load
from demo.kit.picture import Picture
from demo.kit.reporting import Choice, Event, Reporting
from demo.kit.store import Values
from engine.attack.recipes.quantattack import QuantAttack
from engine.attack.universal import shipped_for
from engine.core.errors import BadKnob, BadTask
from engine.evaluate.progress import Progress
from engine.model import zoo
from engine.papers.paper import Exhibit
from engine.papers.quant import paper
from engine.papers.quant.compare import Report, report
from engine.papers.quant.paper import UNIVERSAL, Settings

PATIENCE_SECONDS = 90.0  # everybody else on this machine waits for it
EPS, STEPS = 8, 60  # of the default run
CALIBRATE, ABSOLUTE = "by a share of clean columns", "as a number"
Question = reporting.Question[Settings]
Trial = Reporting[Settings, Report]
TITLES = {
    "count": "QuantAttack, our soft count of columns",
    "code": "QuantAttack, loss of the published code",
    "sponge": "Sponge: large activations everywhere",
    "pgd": "PGD: aims at the answer, not at the cost",
    UNIVERSAL: "Universal perturbation",
}


def attacks(model: str) -> list[tuple[str, str]]:
    """(words, name) of the attacks on offer for a model."""
    found = [(words, name) for name, words in TITLES.items() if name != UNIVERSAL]
    if shipped_for(model, QuantAttack.name):
        found.append(("Universal perturbation, trained beforehand", UNIVERSAL))
    return found


def question(values: Values, weights: Path | None) -> Question:
    """The run as the controls stand; raises EngineError."""
    eps, steps = (whole(name, values[name]) for name in ("eps", "steps"))
    if values["attack"] not in TITLES:
        raise BadTask("There is no attack.", "Choose one.")
    share = _share(values["share"]) if by_share(values) else 0.0
    threshold = 0.0 if by_share(values) else _threshold(values["threshold"])
    settings = Settings(values["attack"], eps / 255, steps, threshold, share)
    source = Picture.of(values["source"])
    exhibit = Exhibit(source.image, source.stem, str(values["model"] or ""), weights=weights)
    zoo.card(exhibit.model, weights)
    paper.attack(exhibit.model, settings)
    return Question(exhibit, settings, TITLES[settings.attack], chosen(values, weights))


def by_share(values: Values) -> bool:
    """Whether the threshold is to be calibrated."""
    return values["calibrate"] == CALIBRATE


def _share(share: Any) -> float:
    if not isinstance(share, int | float) or not 0 < share <= 20:
        raise BadKnob("The share of outlier columns", share, "a number above 0, at most 20 (%)")
    return share / 100


def _threshold(threshold: Any) -> float:
    if not isinstance(threshold, int | float) or not 0.1 <= threshold <= 100:
        raise BadKnob("The threshold", threshold, "a number from 0.1 to 100")
    return float(threshold)


def chosen(values: Values, weights: Path | None) -> Choice:
    """What the controls stand for, part by part in words: equal where a run would be the same."""
    source, model, attack = (str(values[name] or "") for name in ("source", "model", "attack"))
    cards = {each.name: each.title for each in zoo.cards(weights)}
    found = {
        "picture": picture.title_of(source),
        "source": source,
        "model": cards.get(model, model),
    }
    found["attack"] = TITLES.get(attack, attack)
    if attack != UNIVERSAL:
        found |= {
            "eps": f"{plain(values['eps'])}/255",
            "steps": f"{plain(values['steps'])} steps",
        }
    found["threshold"] = (
        f"threshold by {plain(values['share'])} % of clean columns"
        if by_share(values)
        else f"threshold {plain(values['threshold'])}"
    )
    return found


def drive(trial: Trial, patience: float = PATIENCE_SECONDS) -> Iterator[Event]:
    """Read the model and work to the end, until it is stopped, or until patience ends."""
    exhibit = trial.question.exhibit
    yield from load([exhibit.model], exhibit.weights)
    yield Progress("measuring clean columns", 0, 1)
    victim, asked, trial.made = paper.begin(exhibit, trial.question.settings)
    yield from trial.grow(partial(report, victim, asked), patience)
