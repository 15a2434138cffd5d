"""A visitor's run of the Cost page: what they asked for, driven step by step, and its report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.kit import picture
from demo.kit.job import Job
from demo.kit.loading import Loading, load
from demo.kit.picture import SAMPLE, Picture
from demo.kit.store import Values, sizeof
from engine.attack import universal
from engine.attack.catalog import recipe
from engine.attack.recipe import Recipe
from engine.attack.universal import Universal, shipped
from engine.core.errors import BadKnob, BadTask
from engine.data.samples import load_sample
from engine.evaluate.progress import Progress
from engine.model import zoo
from engine.papers.quant.compare import Asked, Report, Working, report
from engine.papers.quant.export import Made, Source
from engine.papers.quant.threshold import calibration

PATIENCE_SECONDS = 90.0  # everybody else on this machine waits for it
EPS, STEPS = 8, 60  # of the default run
UNIVERSAL = "universal"
CALIBRATE, ABSOLUTE = "by a share of clean columns", "as a number"
Choice = dict[str, str]
"""What a run is of, part by part in words."""
ATTACKS = {
    "count": ("QuantAttack, our soft count of columns", "quantattack", {"form": "count"}),
    "code": ("QuantAttack, loss of the published code", "quantattack", {"form": "code"}),
    "sponge": ("Sponge: large activations everywhere", "sponge", {}),
    "pgd": ("PGD: aims at the answer, not at the cost", "pgd", {}),
}


@dataclass(frozen=True)
class Question:
    """What is asked; `threshold` 0 stands for calibration to `share`, `choice` says it in words."""

    picture: Picture
    model: str
    attack: str
    eps: int
    steps: int
    threshold: float
    share: float
    choice: Choice
    weights: Path | None = None

    @property
    def title(self) -> str:
        """The attack in words."""
        return title_of(self.attack)


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
    found = [(words, name) for name, (words, _, _) in ATTACKS.items()]
    if shipped(model):
        found.append(("Universal perturbation, trained beforehand", UNIVERSAL))
    return found


def question(values: Values, weights: Path | None) -> Question:
    """The run as the controls stand; raises EngineError."""
    eps, steps = (_number(name, values[name]) for name in ("eps", "steps"))
    if eps < 0:
        raise BadKnob("Eps", eps, "a whole number from 0 (nothing may change) to 32")
    share, threshold = values["share"], values["threshold"]
    if values["calibrate"] == CALIBRATE:
        threshold = 0.0
        if not isinstance(share, int | float) or not 0 < share <= 20:
            raise BadKnob("The share of outlier columns", share, "a number above 0, at most 20 (%)")
    elif not isinstance(threshold, int | float) or not 0.1 <= threshold <= 100:
        raise BadKnob("The threshold", threshold, "a number from 0.1 to 100")
    made = Question(
        Picture.of(values["source"]),
        str(values["model"] or ""),
        str(values["attack"] or ""),
        eps,
        steps,
        float(threshold),
        float(share or 0) / 100,
        chosen(values, weights),
        weights,
    )
    zoo.card(made.model, weights)
    attack_of(made)
    return made


def chosen(values: Values, weights: Path | None) -> Choice:
    """What the controls stand for, part by part in words: equal where a run would be the same."""
    source, model, attack = (str(values[name] or "") for name in ("source", "model", "attack"))
    cards = {each.name: each.title for each in zoo.cards(weights)}
    found = {
        "picture": picture.title_of(source),
        "source": source,
        "model": cards.get(model, model),
    }
    found["attack"] = title_of(attack)
    if attack != UNIVERSAL:
        found |= {
            "eps": f"{_plain(values['eps'])}/255",
            "steps": f"{_plain(values['steps'])} steps",
        }
    found["threshold"] = (
        f"threshold by {_plain(values['share'])} % of clean columns"
        if values["calibrate"] == CALIBRATE
        else f"threshold {_plain(values['threshold'])}"
    )
    return found


def title_of(attack: str) -> str:
    """The attack in words."""
    if attack == UNIVERSAL:
        return "Universal perturbation"
    return ATTACKS[attack][0] if attack in ATTACKS else attack


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def attack_of(asked: Question) -> Recipe | Universal | None:
    """The attack itself, none where no pixel may change; raises UnknownName, BadKnob, BadTask."""
    if asked.attack == UNIVERSAL:
        path = shipped(asked.model)
        if path is None:
            raise BadTask(
                "No universal perturbation ships for this model.", "Choose another attack."
            )
        return universal.load(path)
    if asked.attack not in ATTACKS:
        raise BadTask("There is no attack.", "Choose one.")
    _, name, knobs = ATTACKS[asked.attack]
    made = recipe(name, eps=(asked.eps or EPS) / 255, steps=asked.steps, **knobs)
    return made if asked.eps else None


def _number(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise BadKnob(name.capitalize(), value, "a whole number")
    return int(value)


def drive(
    trial: Trial, patience: float = PATIENCE_SECONDS
) -> Iterator[Loading | Progress | Working | Report]:
    """Work to the end, until it is stopped, or until patience ends; the latest report is kept."""
    asked = trial.question
    yield from load([asked.model], asked.weights)
    victim = zoo.load(asked.model, asked.weights)
    others = [
        load_sample(each.id)
        for each in picture.listed()
        if SAMPLE + each.id != asked.picture.source
    ]
    yield Progress("measuring clean columns", 0, 1)
    known = calibration(victim)
    threshold = known.fixed(asked.threshold) if asked.threshold else known.set_by(asked.share)
    run = Asked.of(victim, asked.picture.image, others, attack_of(asked), threshold)
    source = Source.of(asked.picture.stem, asked.picture.image)
    card = zoo.card(asked.model, asked.weights)
    trial.made = Made(source, card, asked.attack, run.aimed, run.seed)
    limit = trial.limit(patience)
    for event in report(victim, run, limit.over):
        if isinstance(event, Report):
            trial.report = event
        yield event
    trial.why = limit.why(trial.report is not None and trial.report.times is not None)
