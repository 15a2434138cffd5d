"""A visitor's run of the Cost page: what they asked for, driven step by step, and its report."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demo.kit import pictures
from demo.kit.store import sizeof
from demo.lab.running import Ending, Loading
from engine.attack.catalog import recipe
from engine.attack.recipe import Recipe
from engine.attack.universal import Universal, load, shipped
from engine.core.errors import BadImage, BadKnob, BadTask
from engine.data.samples import load_sample
from engine.evaluate.progress import Progress
from engine.model import zoo
from engine.papers.quant.compare import Asked, Report, Working, report
from engine.papers.quant.export import Made, Source
from engine.papers.quant.threshold import calibration

PATIENCE_SECONDS = 90.0  # everybody else on this machine waits for it
EPS, STEPS = 8, 60  # of the default run
UNIVERSAL = "universal"
Choice = dict[str, str]
"""What a run is of, part by part in words."""
ATTACKS = {
    "count": ("QuantAttack, our soft count of columns", "quantattack", {"form": "count"}),
    "code": ("QuantAttack, loss of the published code", "quantattack", {"form": "code"}),
    "sponge": ("Sponge: large activations everywhere", "sponge", {}),
    "pgd": ("PGD: aims at the answer, not at the cost", "pgd", {}),
}


@dataclass(frozen=True)
class Ended:
    """No more events follow, and why."""

    why: Ending


@dataclass
class Trial:
    """One run; `threshold` 0 stands for calibration to `share`. `stop` is looked at between steps."""

    model: str
    source: str
    attack: str
    eps: int
    steps: int
    threshold: float
    share: float
    weights: Path | None = None
    session: str = ""
    choice: Choice = field(default_factory=dict[str, str])
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    made: Made | None = None
    report: Report | None = None
    why: Ending | None = None
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def title(self) -> str:
        """The attack in words."""
        return title_of(self.attack)

    @property
    def bytes(self) -> int:
        return sizeof(self.report)


def attacks(model: str) -> list[tuple[str, str]]:
    """(words, name) of the attacks on offer for a model."""
    found = [(words, name) for name, (words, _, _) in ATTACKS.items()]
    if shipped(model):
        found.append(("Universal perturbation, trained beforehand", UNIVERSAL))
    return found


def trial(values: dict[str, Any], weights: Path | None, session: str) -> Trial:
    """The run as the controls stand; raises EngineError."""
    if not values["source"]:
        raise BadImage("There is no picture.", "Choose one of the samples or bring your own.")
    eps, steps = (_number(name, values[name]) for name in ("eps", "steps"))
    if eps < 0:
        raise BadKnob("Eps", eps, "a whole number from 0 (nothing may change) to 32")
    share, threshold = values["share"], values["threshold"]
    if values["calibrate"]:
        threshold = 0.0
        if not isinstance(share, int | float) or not 0 < share <= 20:
            raise BadKnob("The share of outlier columns", share, "a number above 0, at most 20 (%)")
    elif not isinstance(threshold, int | float) or not 0.1 <= threshold <= 100:
        raise BadKnob("The threshold", threshold, "a number from 0.1 to 100")
    made = Trial(
        str(values["model"] or ""),
        str(values["source"]),
        str(values["attack"] or ""),
        eps,
        steps,
        float(threshold),
        float(share or 0) / 100,
        weights,
        session,
        chosen(values, weights),
    )
    zoo.card(made.model, weights)
    attack_of(made)
    return made


def chosen(values: dict[str, Any], weights: Path | None) -> Choice:
    """What the controls stand for, part by part in words: equal where a run would be the same."""
    source, model, attack = (str(values[name] or "") for name in ("source", "model", "attack"))
    cards = {each.name: each.title for each in zoo.cards(weights)}
    found = {"picture": name_of(source), "source": source, "model": cards.get(model, model)}
    found["attack"] = title_of(attack)
    if attack != UNIVERSAL:
        found |= {
            "eps": f"{_plain(values['eps'])}/255",
            "steps": f"{_plain(values['steps'])} steps",
        }
    found["threshold"] = (
        f"threshold by {_plain(values['share'])} % of clean columns"
        if values["calibrate"]
        else f"threshold {_plain(values['threshold'])}"
    )
    return found


def name_of(source: str) -> str:
    """What a picture is called: the sample's title, or the name of the file."""
    sample = pictures.sample(source)
    return sample.title if sample else Path(source).name


def title_of(attack: str) -> str:
    """The attack in words."""
    if attack == UNIVERSAL:
        return "Universal perturbation"
    return ATTACKS[attack][0] if attack in ATTACKS else attack


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def attack_of(asked: Trial) -> Recipe | Universal | None:
    """The attack itself, none where no pixel may change; raises UnknownName, BadKnob, BadTask."""
    if asked.attack == UNIVERSAL:
        path = shipped(asked.model)
        if path is None:
            raise BadTask(
                "No universal perturbation ships for this model.", "Choose another attack."
            )
        return load(path)
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
    asked: Trial, patience: float = PATIENCE_SECONDS
) -> Iterator[Loading | Progress | Working | Report | Ended]:
    """Work to the end, until it is stopped, or until patience ends; the latest report is kept."""
    yield Loading(zoo.card(asked.model, asked.weights).title)
    victim = zoo.load(asked.model, asked.weights)
    picture = pictures.read(asked.source)
    others = [
        load_sample(each.id)
        for each in pictures.listed()
        if pictures.SAMPLE + each.id != asked.source
    ]
    yield Progress("measuring clean columns", 0, 1)
    known = calibration(victim)
    threshold = known.fixed(asked.threshold) if asked.threshold else known.set_by(asked.share)
    request = Asked.of(victim, picture, others, attack_of(asked), threshold)
    card = zoo.card(asked.model, asked.weights)
    source = Source.of(pictures.name_of(asked.source), picture)
    asked.made = Made(source, card, asked.attack, request.aimed, request.seed)
    until = time.monotonic() + patience

    def ends() -> bool:
        return asked.stop.is_set() or time.monotonic() > until

    for event in report(victim, request, ends):
        if isinstance(event, Report):
            asked.report = event
        yield event
    late = not asked.stop.is_set() and time.monotonic() > until
    asked.why = "stopped" if asked.stop.is_set() else "late" if late else "finished"
    yield Ended(asked.why)
