"""A visitor's run of the Cost page: what they asked for, driven step by step, and its report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.kit import picture
from demo.kit.controls import plain, whole
from demo.kit.job import Job
from demo.kit.loading import Loading, load
from demo.kit.picture import Picture
from demo.kit.store import Values, sizeof
from engine.attack.recipes.quantattack import QuantAttack
from engine.attack.universal import shipped_for
from engine.core.errors import BadKnob, BadTask
from engine.evaluate.progress import Progress
from engine.model import zoo
from engine.papers.export import Made
from engine.papers.paper import Exhibit
from engine.papers.quant import paper
from engine.papers.quant.compare import Report, Working, report
from engine.papers.quant.paper import UNIVERSAL, Settings

PATIENCE_SECONDS = 90.0  # everybody else on this machine waits for it
EPS, STEPS = 8, 60  # of the default run
CALIBRATE, ABSOLUTE = "by a share of clean columns", "as a number"
Choice = dict[str, str]
"""What a run is of, part by part in words."""
TITLES = {
    "count": "QuantAttack, our soft count of columns",
    "code": "QuantAttack, loss of the published code",
    "sponge": "Sponge: large activations everywhere",
    "pgd": "PGD: aims at the answer, not at the cost",
    UNIVERSAL: "Universal perturbation",
}


@dataclass(frozen=True)
class Question:
    """The picture and the model, the run's settings, and the choice in words."""

    picture: Picture
    exhibit: Exhibit
    settings: Settings
    choice: Choice

    @property
    def title(self) -> str:
        """The attack in words."""
        return TITLES[self.settings.attack]


@dataclass(eq=False)
class Trial(Job):
    """One run: what it is made of once the model is read, its report so far, and what was told of it."""

    question: Question
    made: Made | None = None
    report: Report | None = None
    told: dict[str, Any] | None = None

    @property
    def bytes(self) -> int:
        return sizeof(self.report)


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
    return Question(source, exhibit, settings, chosen(values, weights))


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


def drive(
    trial: Trial, patience: float = PATIENCE_SECONDS
) -> Iterator[Loading | Progress | Working | Report]:
    """Work to the end, until it is stopped, or until patience ends; the latest report is kept."""
    exhibit = trial.question.exhibit
    yield from load([exhibit.model], exhibit.weights)
    yield Progress("measuring clean columns", 0, 1)
    victim, asked, trial.made = paper.begin(exhibit, trial.question.settings)
    limit = trial.limit(patience)
    for event in report(victim, asked, limit.over):
        if isinstance(event, Report):
            trial.report = event
        yield event
    trial.why = limit.why(trial.report is not None and trial.report.times is not None)
