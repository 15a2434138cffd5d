"""Robustness Tokens as a paper of the catalog."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from engine.alter.stack import named
from engine.core.knobs import Knobbed, knob, knob_of
from engine.data.decode import fit
from engine.data.samples import others
from engine.evaluate.progress import Progress
from engine.evaluate.transfer import bare
from engine.model import zoo
from engine.model.victim import Victim
from engine.papers.export import Made, Source
from engine.papers.paper import Brief, Exhibit, OnPhotographs, OnPicture, Paper, Told
from engine.papers.quant.threshold import PUBLISHED, usual
from engine.papers.report import Compared, compared
from engine.papers.robustness_tokens import claims, evidence, export, results
from engine.papers.robustness_tokens.compare import Asked, Report, report
from engine.papers.robustness_tokens.findings import Findings
from engine.papers.robustness_tokens.given import given, rival, short
from engine.papers.robustness_tokens.says import SAYS


@dataclass(frozen=True)
class Settings(Knobbed):
    """What can be set of one picture's report."""

    tokens: str = knob_of(evidence.Settings, "tokens")
    count: int = knob(
        10, "How many random tokens, or tokens trained here.", label="Tokens", low=1, high=200
    )
    train: int = knob(
        0,
        "Steps for which tokens are trained here, on the samples and the picture; 0 takes the file's.",
        label="Training steps",
        low=0,
        high=1000,
    )
    eps: float = knob_of(evidence.Settings, "eps")
    steps: int = knob_of(evidence.Settings, "steps")
    restarts: int = knob_of(evidence.Settings, "restarts", high=10)


def begin(exhibit: Exhibit, settings: Settings) -> tuple[Victim, Asked, Made]:
    """The public model, the run that is asked for, and what it is made of; raises EngineError."""
    victim = named(exhibit.model, lambda name: zoo.load(name, exhibit.weights))
    size, name = victim.spec.input_size, bare(exhibit.model)
    beside = [fit(each, size) for each in others(exhibit.image)]
    threshold = usual(name, exhibit.weights)
    training = short(settings.count, settings.train or 1, settings.eps)
    taken = None if settings.train else given(victim, settings.tokens, settings.count)
    asked = Asked(
        picture=fit(exhibit.image, size),
        label=exhibit.label,
        tokens=taken and taken.values,
        training=training,
        others=torch.stack(beside) if beside else torch.zeros(0, 3, size, size, dtype=torch.uint8),
        source=taken.words
        if taken
        else f"trained here for {settings.train} steps on {len(beside) + 1} pictures",
        surrogate=rival(victim),
        eps=settings.eps,
        steps=settings.steps,
        restarts=settings.restarts,
        threshold=threshold.value if threshold else PUBLISHED,
        seed=exhibit.seed,
    )
    feature, _ = asked.attacks
    known = zoo.card(name, exhibit.weights)
    made = Made(Source.of(exhibit.name, exhibit.image), known, feature.name, feature, exhibit.seed)
    return victim, asked, made


def compare(exhibit: Exhibit, settings: Settings) -> Iterator[Progress | Compared[Report]]:
    """What each attacker makes of the picture, with tokens and without."""
    victim, asked, made = begin(exhibit, settings)
    yield from compared(report(victim, asked), made)


def summary(exhibit: Exhibit, found: Compared[Report]) -> dict[str, Any]:
    """A report as plain data, as the page saves it."""
    del exhibit
    return export.summary(found.report, found.made)


def brief(model: str, weights: Path | None, steps: int) -> Brief:
    """Two tries with restarts, no AutoAttack, no training of further tokens."""
    del model, weights
    settings = evidence.Settings(steps=steps, restarts=2, few=evidence.LEAST)
    return Brief(settings, 20 * steps)


ROBUSTNESS_TOKENS = Paper(
    "robustness_tokens",
    "Robustness Tokens",
    "Robustness Tokens: ten learned tokens as armour, and who gets through",
    "Pulfer et al., ECCV 2024",
    OnPhotographs(evidence.Settings, claims.claims, Findings, resumes=True, brief=brief),
    OnPicture(Settings, compare, summary, lambda found: export.markdown(found.report)),
    Told(results.ABOUT, results.sections, results.findings),
    says=SAYS,
)
