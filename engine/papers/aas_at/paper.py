"""AAS-AT as a paper of the catalog: what adversarial training buys and costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.attack.catalog import recipe
from engine.attack.recipe import Recipe
from engine.core.errors import BadTask
from engine.core.knobs import Knobbed, knob, knob_of
from engine.evaluate.progress import Progress
from engine.model import zoo
from engine.papers.aas_at import claims, export, results
from engine.papers.aas_at.compare import LADDER, Attacks, Report, report
from engine.papers.aas_at.contenders import Contender, contenders, offered, start
from engine.papers.aas_at.findings import Findings
from engine.papers.aas_at.says import SAYS
from engine.papers.export import Made, Source
from engine.papers.paper import Brief, Exhibit, OnPhotographs, OnPicture, Paper, Told
from engine.papers.report import Compared, compared

LEAST_STEPS = 3
"""Of a step of 2.5 eps / steps, which may be 32/255 at most; the curve's largest budget is that."""
ATTACKS = {"pgd": "PGD", "apgd": "APGD: finds its own step size"}
"""What a picture can be attacked with, in words."""


@dataclass(frozen=True)
class Settings(Knobbed):
    """What can be set of one picture's report."""

    attack: str = knob("pgd", "What every model is attacked with.", choices=tuple(ATTACKS))
    steps: int = knob(20, "Gradient steps at each budget.", low=1, high=200)
    control: float = knob_of(claims.Settings, "control")


def begin(exhibit: Exhibit, settings: Settings) -> tuple[tuple[Contender, ...], Attacks, Made]:
    """Who takes part, the attack at a budget, and what a report is made of; raises EngineError."""
    models = contenders(exhibit.models, settings.control, exhibit.weights)

    def attack(eps: float) -> Recipe:
        return recipe(settings.attack, eps=eps, steps=settings.steps)

    source = Source.of(exhibit.name, exhibit.image)
    known = zoo.card(exhibit.model, exhibit.weights)
    made = Made(source, known, settings.attack, attack(LADDER[-1] / 255), exhibit.seed)
    return models, attack, made


def compare(exhibit: Exhibit, settings: Settings) -> Iterator[Progress | Compared[Report]]:
    """At which budget each model falls; where no other is named, what was trained from the first."""
    others = exhibit.targets or tuple(
        each.name for each in offered(exhibit.weights) if start(each) == exhibit.model
    )
    asked = replace(exhibit, targets=others)
    models, attack, made = begin(asked, settings)
    yield from compared(report(asked, models, attack), made)


def summary(exhibit: Exhibit, found: Compared[Report]) -> dict[str, Any]:
    """A report as plain data, as the page saves it."""
    return export.summary(found.report, found.made, exhibit.weights)


def brief(model: str, weights: Path | None, steps: int) -> Brief:
    """Beside the plain model that it came from, or what was trained from it; no AutoAttack."""
    own = zoo.card(model, weights)
    kin = [
        each.name for each in offered(weights) if model == start(each) or each.name == start(own)
    ]
    if not kin:
        raise BadTask(
            f"No model on this machine was trained robustly from {own.title}, or is what it came from.",
            "Choose another model.",
        )
    if steps < LEAST_STEPS:
        raise BadTask(
            f"Fewer than {LEAST_STEPS} steps cannot cross the largest budget.", "Take more."
        )
    settings = claims.Settings(short=steps, long=5 * steps)
    spent = (2 + len(claims.CURVE)) * settings.short + 2 * settings.long
    return Brief(settings, (len(kin) + 2) * spent, tuple(kin))


AAS_AT = Paper(
    "aas_at",
    "Adversarial training",
    "AAS-AT: adversarial training, with attention scaling and without",
    "Adaptive Attention Scaling, CVPR 2024; Madry et al., ICLR 2018",
    OnPhotographs(
        claims.Settings, claims.claims, Findings, targets=True, resumes=True, brief=brief
    ),
    OnPicture(
        Settings, compare, summary, lambda found: export.markdown(found.report), answers=True
    ),
    Told(results.ABOUT, results.sections, results.findings),
    says=SAYS,
)
