"""A visitor's run of the Cost page: what they asked for, driven step by step, and its report."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demo import pictures
from demo.running import Ending, Loading
from demo.store import sizeof
from engine.attack.catalog import recipe
from engine.attack.recipe import Recipe
from engine.attack.universal import Universal, load, shipped
from engine.core.errors import BadImage, BadKnob, BadTask
from engine.data.samples import load_sample
from engine.evaluate.quant_report import Asked, Report, Working, report
from engine.evaluate.quant_study import Doing
from engine.model import zoo

PATIENCE_SECONDS = 90.0  # everybody else on this machine waits for it
EPS, STEPS = 8, 60  # of the default run
UNIVERSAL = "universal"
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
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    report: Report | None = None
    why: Ending | None = None
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def title(self) -> str:
        """The attack in words."""
        return "Universal perturbation" if self.attack == UNIVERSAL else ATTACKS[self.attack][0]

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
    )
    zoo.card(made.model, weights)
    attack_of(made)
    return made


def attack_of(asked: Trial) -> Recipe | Universal:
    """The attack itself; raises UnknownName, BadKnob, BadTask."""
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
    return recipe(name, eps=asked.eps / 255, steps=asked.steps, **knobs)


def _number(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise BadKnob(name.capitalize(), value, "a whole number")
    return int(value)


def drive(
    asked: Trial, patience: float = PATIENCE_SECONDS
) -> Iterator[Loading | Doing | Working | Report | Ended]:
    """Work to the end, until it is stopped, or until patience ends; the latest report is kept."""
    yield Loading(zoo.card(asked.model, asked.weights).title)
    victim = zoo.load(asked.model, asked.weights)
    others = [
        load_sample(each.id)
        for each in pictures.listed()
        if pictures.SAMPLE + each.id != asked.source
    ]
    request = Asked.of(
        victim,
        pictures.read(asked.source),
        others,
        attack_of(asked),
        asked.threshold,
        asked.share,
    )
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
