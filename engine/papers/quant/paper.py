"""QuantAttack as a paper of the catalog."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.attack.catalog import recipe
from engine.attack.recipe import Recipe
from engine.attack.recipes.quantattack import QuantAttack
from engine.attack.universal import Universal, shipped_for
from engine.core.errors import BadTask
from engine.core.knobs import Knobbed, knob
from engine.data.samples import others
from engine.evaluate.progress import Progress
from engine.model import zoo
from engine.model.victim import Victim
from engine.papers.export import Made, Source
from engine.papers.paper import Brief, Exhibit, ForAnyPicture, OnPhotographs, OnPicture, Paper, Told
from engine.papers.quant import claims, export, results, universal
from engine.papers.quant.compare import ROUNDS, Asked, Report, report
from engine.papers.quant.findings import Findings
from engine.papers.quant.says import SAYS
from engine.papers.quant.threshold import PUBLISHED, SHARE, calibration, is_calibrated, usual
from engine.papers.report import Compared, compared

UNIVERSAL = "universal"
ATTACKS: dict[str, tuple[str, dict[str, Any]]] = {
    "count": ("quantattack", {"form": "count"}),
    "code": ("quantattack", {"form": "code"}),
    "sponge": ("sponge", {}),
    "pgd": ("pgd", {}),
}


@dataclass(frozen=True)
class Settings(Knobbed):
    """What can be set of one picture's report."""

    attack: str = knob(
        "count",
        "QuantAttack with our soft count or the published loss, Sponge, PGD, or the model's "
        "universal perturbation.",
        choices=(*ATTACKS, UNIVERSAL),
    )
    eps: float = knob(
        8 / 255,
        "Largest change of any pixel; 0 changes nothing: the control.",
        label="Eps",
        low=0,
        high=32 / 255,
        unit="1/255",
    )
    steps: int = knob(60, "Number of gradient steps.", low=1, high=300)
    threshold: float = knob(
        0.0,
        "Size from which an input is an outlier; 0 takes what the pages take for the model.",
        low=0,
        high=1000,
    )
    share: float = knob(
        0.0,
        "Sets the threshold: this share of the sample pictures' columns reaches it; 0 does not.",
        low=0,
        high=0.5,
    )
    rounds: int = knob(ROUNDS, "How often each time is taken, at most.", low=1, high=1000)


def begin(exhibit: Exhibit, settings: Settings) -> tuple[Victim, Asked, Made]:
    """The model, the run that is asked for, and what it is made of; raises EngineError.

    The model's clean columns are measured, once while it is loaded.
    """
    victim = zoo.load(exhibit.model, exhibit.weights)
    card = zoo.card(exhibit.model, exhibit.weights)
    known = calibration(victim)
    threshold = usual(exhibit.model, exhibit.weights) or known.fixed(PUBLISHED)
    if settings.share or settings.threshold:
        by = settings.share
        threshold = known.set_by(by) if by else known.fixed(settings.threshold)
    asked = Asked.of(
        victim, exhibit.image, others(exhibit.image), attack(exhibit.model, settings), threshold
    )
    asked = replace(asked, rounds=settings.rounds, seed=exhibit.seed)
    source = Source.of(exhibit.name, exhibit.image)
    return victim, asked, Made(source, card, settings.attack, asked.aimed, asked.seed)


def compare(exhibit: Exhibit, settings: Settings) -> Iterator[Progress | Compared[Report]]:
    """What an attack on the picture costs the int8 model: columns, multiplications, time."""
    yield Progress("measuring clean columns", 0, 1)
    victim, asked, made = begin(exhibit, settings)
    yield from compared(report(victim, asked), made)


def attack(model: str, settings: Settings) -> Recipe | Universal | None:
    """What is attacked with, none where no pixel may change; raises BadTask, BadKnob."""
    if settings.attack != UNIVERSAL:
        name, knobs = ATTACKS[settings.attack]
        made = recipe(name, eps=settings.eps or 1 / 255, steps=settings.steps, **knobs)
        return made if settings.eps else None
    found = shipped_for(model, QuantAttack.name)
    if not found:
        raise BadTask("No universal perturbation ships for this model.", "Choose another attack.")
    return found[0]


def summary(exhibit: Exhibit, found: Compared[Report]) -> dict[str, Any]:
    """A report as plain data, as the page saves it."""
    del exhibit
    return export.summary(found.report, found.made)


def brief(model: str, weights: Path | None, steps: int) -> Brief:
    """At the threshold that the pages take for the model; the universal perturbation is as long."""
    epochs = min(steps, 40)
    small = is_calibrated(zoo.card(model, weights))
    settings = claims.Settings(
        share=SHARE if small else 0.0,
        steps=steps,
        form="count",
        universal_epochs=epochs,
        rounds=3,
    )
    crafting = 3 * steps + min(steps, 40) + min(steps, 100) + epochs
    return Brief(settings, crafting + 30)  # int8 passes and rounds, as measured on a bundled model


QUANT = Paper(
    "quant",
    "QuantAttack",
    "QuantAttack: pictures that make a dynamically quantized model slow",
    "Baras et al., WACV 2025",
    OnPhotographs(claims.Settings, claims.claims, Findings, brief=brief),
    OnPicture(Settings, compare, summary, lambda found: export.markdown(found.report)),
    Told(results.ABOUT, results.defences, results.findings),
    ForAnyPicture(universal.Settings, universal.universal),
    says=SAYS,
)
