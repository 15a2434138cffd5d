"""TGR as a paper of the catalog."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.attack.recipes.tgr import TGR as Recipe
from engine.model import zoo
from engine.papers.paper import Brief, Exhibit, OnPhotographs, OnPicture, Paper, Told, beside
from engine.papers.tgr import claims, compare, export, results
from engine.papers.tgr.says import SAYS


def summary(exhibit: Exhibit, found: compare.Comparison) -> dict[str, Any]:
    """A comparison so far as plain data, as the page saves it."""
    source, *targets = (zoo.card(name, exhibit.weights) for name in exhibit.models)
    return export.summary(found, exhibit.identity, exhibit.label is not None, source, targets)


def brief(model: str, weights: Path | None, steps: int) -> Brief:
    """Shown to all other models of the same classes; the attacks are as long as they are compared."""
    settings = claims.Settings(steps=steps)
    spent = claims.effort(settings)
    return Brief(settings, spent, beside(model, weights))


TGR = Paper(
    "tgr",
    "TGR",
    "Token gradient regularization: attacks on ViTs that travel",
    "Zhang et al., CVPR 2023",
    OnPhotographs(claims.Settings, claims.claims, targets=True, resumes=True, brief=brief),
    OnPicture(Recipe, compare.comparison, summary, export.markdown, answers=True),
    Told(results.ABOUT, results.parts, results.findings),
    says=SAYS,
)
