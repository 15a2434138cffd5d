"""DeSparsify as a paper of the catalog."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.attack.catalog import recipe
from engine.attack.recipe import Recipe
from engine.attack.recipes.desparsify import DeSparsify
from engine.attack.recipes.slowformer import SlowFormer
from engine.attack.universal import KINDS, Universal, shipped_for
from engine.core.errors import BadTask
from engine.core.knobs import Knobbed, knob, knob_of
from engine.data.samples import others
from engine.evaluate.progress import Progress
from engine.evaluate.timing import ROUNDS
from engine.model.victim import Victim
from engine.papers.desparsify import claims, evidence, export, results, universal
from engine.papers.desparsify.compare import Asked, Report, report
from engine.papers.desparsify.findings import Findings
from engine.papers.desparsify.says import SAYS
from engine.papers.desparsify.victims import card, full, relatives, victim
from engine.papers.export import Made, Source
from engine.papers.paper import Brief, Exhibit, ForAnyPicture, OnPhotographs, OnPicture, Paper, Told
from engine.papers.report import Compared, compared

ATTACKS = (DeSparsify.name, "pgd", "sponge", SlowFormer.name)


@dataclass(frozen=True)
class Settings(Knobbed):
    """What can be set of one picture's report."""

    attack: str = knob(
        DeSparsify.name,
        "DeSparsify, attacks that aim at something else, or what ships for any picture of the model.",
        choices=(*ATTACKS, *KINDS),
    )
    eps: float = knob(
        16 / 255,
        "Largest change of any pixel, but for patches; 0 changes nothing: the control.",
        label="Eps",
        low=0,
        high=32 / 255,
        unit="1/255",
    )
    steps: int = knob(100, "Number of gradient steps.", low=1, high=300)
    weight: float = knob_of(
        DeSparsify,
        "lam",
        help="DeSparsify: how strongly the clean answer is kept; 0 does not keep it.",
    )
    rounds: int = knob(ROUNDS, "How often each time is taken, at most.", low=1, high=1000)


def begin(exhibit: Exhibit, settings: Settings) -> tuple[Victim, Asked, Made]:
    """The model, the run that is asked for, and what it is made of; raises EngineError."""
    found = victim(exhibit.model, exhibit.weights)
    chosen = attack(exhibit.model, settings, exhibit.weights)
    asked = Asked.of(found, exhibit.image, others(exhibit.image), chosen)
    elsewhere = relatives(exhibit.model, exhibit.weights)
    asked = replace(asked, elsewhere=elsewhere, rounds=settings.rounds, seed=exhibit.seed)
    source = Source.of(exhibit.name, exhibit.image)
    known = card(exhibit.model, exhibit.weights)
    return found, asked, Made(source, known, settings.attack, asked.attack, asked.seed)


def attack(
    model: str, settings: Settings, weights: Path | None = None
) -> Recipe | Universal | None:
    """What is attacked with, none where no pixel may change; raises BadTask, BadKnob."""
    if settings.attack in KINDS:
        ships = shipped_for(full(model, weights), DeSparsify.name)
        fitting = [each for each in ships if each.kind == settings.attack]
        if not fitting:
            raise BadTask(
                f"No {settings.attack} perturbation ships for this model.", "Choose another attack."
            )
        return fitting[0]
    if not settings.eps:
        return None
    if settings.attack == SlowFormer.name:
        return SlowFormer(steps=settings.steps)
    own = {"lam": settings.weight} if settings.attack == DeSparsify.name else {}
    return recipe(settings.attack, eps=settings.eps, steps=settings.steps, **own)


def compare(exhibit: Exhibit, settings: Settings) -> Iterator[Progress | Compared[Report]]:
    """What an attack on the picture costs a model that puts tokens to sleep."""
    found, asked, made = begin(exhibit, settings)
    yield from compared(report(found, asked), made)


def summary(exhibit: Exhibit, found: Compared[Report]) -> dict[str, Any]:
    """A report as plain data, as the page saves it."""
    del exhibit
    return export.summary(found.report, found.made)


def brief(model: str, weights: Path | None, steps: int) -> Brief:
    """Every attack as long, the side experiments on as few pictures as may be."""
    del model, weights
    settings = claims.Settings(
        steps=steps, side_steps=steps, other_steps=steps, few=evidence.LEAST, rounds=3
    )
    return Brief(settings, 8 * steps + 45)  # passes one by one, as measured on a bundled model


DESPARSIFY = Paper(
    "desparsify",
    "DeSparsify",
    "DeSparsify: pictures that wake the tokens a model puts to sleep",
    "Yehezkel et al., NeurIPS 2024",
    OnPhotographs(claims.Settings, claims.claims, Findings, resumes=True, brief=brief),
    OnPicture(Settings, compare, summary, lambda found: export.markdown(found.report)),
    Told(results.ABOUT, results.sections, results.findings),
    ForAnyPicture(universal.Settings, universal.universal),
    says=SAYS,
)
