"""A report to take away: plain data that says what it was made of, one CSV line for each picture and model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from engine.core.figures import number
from engine.evaluate.claim import table as markdown_table
from engine.papers.export import Made, digest, sheet
from engine.papers.robustness_tokens.compare import Look, Outcome, Report, Said
from engine.papers.robustness_tokens.inside import Inside
from engine.papers.robustness_tokens.sentence import honest, verdict

SCHEMA = "vit-adversarial-lab/robustness-tokens/1"
AIMS = ("feature", "answer")


def summary(found: Report, made: Made) -> dict[str, Any]:
    """The report as plain data, versioned; cosines are per token over channels, mean over tokens."""
    return {
        "schema": SCHEMA,
        **made.origin,
        "measured_on": "8-bit pixels, as saved",
        "tokens": {"count": found.tokens, "source": found.source},
        "class_attacked": found.classes[found.label],
        "verdict": verdict(found),
        "told": honest(found),
        "notes": list(found.notes),
        "finished": found.whole,
        "training": [asdict(each) for each in found.curve],
        "steps": {"done": found.steps, "asked": found.asked},
        "outliers_from": number(found.threshold),
        "clean": found.clean
        and {
            **_look(found.clean, found.classes),
            "inside": _both(found.rest and (found.rest.public, found.rest.private)),
        },
        "threats": [_outcome(each, found.classes) for each in found.outcomes],
    }


def _outcome(of: Outcome, classes: tuple[str, ...]) -> dict[str, Any]:
    return {
        "name": of.threat.name,
        "knows": of.threat.knows,
        "gradients": of.gradients,
        "feature": _look(of.feature, classes),
        "answer": _look(of.answer, classes),
        "inside": _both((of.inside.public, of.inside.private)),
    }


def _look(of: Look, classes: tuple[str, ...]) -> dict[str, Any]:
    return {
        "linf_255": of.linf,
        "sha256": digest(of.pixels),
        "without_tokens": _said(of.public, classes),
        "with_tokens": _said(of.private, classes),
    }


def _said(of: Said, classes: tuple[str, ...]) -> dict[str, Any]:
    return {
        "cosine_to_clean_without_tokens": number(of.kept),
        "cosine_to_own_clean": number(of.own),
        "top": [{"class": classes[at], "probability": number(p)} for at, p in of.top],
        "probability": number(of.probability),
        "fooled": of.fooled,
    }


def _both(of: tuple[Inside, Inside] | None) -> dict[str, Any] | None:
    return of and {"without_tokens": _inside(of[0]), "with_tokens": _inside(of[1])}


def _inside(of: Inside) -> dict[str, Any]:
    """By block."""
    return {
        "largest_activation": [number(each) for each in of.largest.tolist()],
        "largest_activation_of_tokens": None
        if of.own is None
        else [number(each) for each in of.own.tolist()],
        "outlier_columns": of.outliers.tolist(),
        "outlier_columns_without_tokens": of.spared.tolist(),
        "columns": list(of.inputs),
        "patches_kept": None if of.kept is None else of.kept.tolist(),
        "attention_to_tokens": None
        if of.mass is None
        else [[number(h) for h in block] for block in of.mass.tolist()],
    }


def table(data: Mapping[str, Any]) -> str:
    """A `summary` as CSV, every line with what it was made of; empty before the clean picture is known."""
    threats = [("none", "", data["clean"])] if data["clean"] else []
    threats += [(each["name"], aim, each[aim]) for each in data["threats"] for aim in AIMS]
    rows = [
        {
            "threat": threat,
            "aim": aim,
            "tokens": model,
            "class_attacked": data["class_attacked"],
            **{key: value for key, value in look[model].items() if key != "top"},
            "answer": look[model]["top"][0]["class"],
            "sha256": look["sha256"],
        }
        for threat, aim, look in threats
        for model in ("without_tokens", "with_tokens")
    ]
    return sheet(data, rows) if rows else ""


def markdown(found: Report) -> str:
    """The report as a table: an attacker a line."""
    looks = [("untouched", found.clean, found.clean)] if found.clean else []
    looks += [(each.threat.title, each.feature, each.answer) for each in found.outcomes]
    return markdown_table(
        {
            "attacker": [title for title, _, _ in looks],
            "cosine without tokens": [f"{look.public.kept:.3f}" for _, look, _ in looks],
            "with": [f"{look.private.kept:.3f}" for _, look, _ in looks],
            "answer without tokens": [_answer(look.public, found) for _, _, look in looks],
            "with tokens": [_answer(look.private, found) for _, _, look in looks],
        }
    )


def _answer(of: Said, found: Report) -> str:
    at, probability = of.top[0]
    return f"{found.classes[at]} ({100 * probability:.0f} %)"
