"""AAS as a paper of the catalog."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.alter.saturated import Saturated
from engine.alter.scaled import Scaled
from engine.core.knobs import Knobbed, knob, knob_of
from engine.evaluate.progress import Progress
from engine.model import zoo
from engine.model.victim import Victim
from engine.papers.aas import claims, export, results
from engine.papers.aas.compare import Asked, Report, report
from engine.papers.aas.findings import Findings
from engine.papers.aas.says import SAYS
from engine.papers.export import Made, Source
from engine.papers.paper import Brief, Exhibit, OnPhotographs, OnPicture, Paper, Told
from engine.papers.report import Compared, compared


@dataclass(frozen=True)
class Settings(Knobbed):
    """What can be set of one picture's report."""

    eps: float = knob(
        1 / 255,
        "Largest change of any pixel.",
        label="Eps",
        low=1 / 255,
        grain=1 / 255,
        high=16 / 255,
        unit="1/255",
    )
    steps: int = knob(20, "Steps of each attack, which ends when it fools.", low=1, high=100)
    c: float = knob_of(
        Saturated,
        "c",
        default=1.0,
        help="Every score is multiplied by this: the positive control; 1 is the model as it is.",
        main=False,
    )
    per: str = knob_of(
        Scaled,
        "per",
        help="AAS learns a factor for each block, or for each head of each block.",
        label="One factor",
    )


def begin(exhibit: Exhibit, settings: Settings) -> tuple[Victim, Asked, Made]:
    """The model, the run that is asked for, and what it is made of; raises EngineError."""
    victim = zoo.load(exhibit.model, exhibit.weights)
    asked = replace(
        Asked.of(victim, exhibit.image),
        c=settings.c,
        eps=settings.eps,
        steps=settings.steps,
        per=settings.per,
        label=exhibit.label,
        seed=exhibit.seed,
    )
    source = Source.of(exhibit.name, exhibit.image)
    known = zoo.card(exhibit.model, exhibit.weights)
    return victim, asked, Made(source, known, asked.recipe.name, asked.recipe, asked.seed)


def compare(exhibit: Exhibit, settings: Settings) -> Iterator[Progress | Compared[Report]]:
    """Whether the softmax hides the gradient of a picture, and who finds it."""
    victim, asked, made = begin(exhibit, settings)
    yield from compared(report(victim, asked), made)


def summary(exhibit: Exhibit, found: Compared[Report]) -> dict[str, Any]:
    """A report as plain data, as the page saves it."""
    del exhibit
    return export.summary(found.report, found.made)


def brief(model: str, weights: Path | None, steps: int) -> Brief:
    """At half a grey level, where a bundled model loses about half of the pictures; no AutoAttack."""
    del model, weights
    settings = claims.Settings(
        eps=0.5 / 255, steps=steps, ascent=max(1, steps // 2), few=claims.LEAST
    )
    return Brief(settings, (len(claims.GRID) + 7) * settings.gradients)


AAS = Paper(
    "aas",
    "AAS",
    "AAS: when the softmax hides the gradient",
    "Adaptive Attention Scaling, CVPR 2024",
    OnPhotographs(claims.Settings, claims.claims, Findings, resumes=True, brief=brief),
    OnPicture(
        Settings, compare, summary, lambda found: export.markdown(found.report), answers=True
    ),
    Told(results.ABOUT, results.sections, results.findings),
    says=SAYS,
)
