"""A report as one JSON object: what the linked views of `defend_tokens.js` draw from, all worked out."""

from __future__ import annotations

from typing import Any

from demo.defend_tokens.trial import Trial
from demo.kit.packing import png, png_change, png_of, shown
from demo.kit.reporting import opening
from engine.core.figures import number, table
from engine.papers.robustness_tokens import export
from engine.papers.robustness_tokens.compare import Both, Look, Report, Said
from engine.papers.robustness_tokens.sentence import honest, verdict
from engine.papers.robustness_tokens.threat import Threat


def message(trial: Trial, found: Report) -> dict[str, Any]:
    """All that is known so far of a run."""
    assert trial.made is not None
    data = export.summary(found, trial.made)
    rows, columns = found.grid
    csv = export.table(data) if found.clean else ""
    return {
        **opening(trial, data, csv, _strongest(trial, found)),
        "model": {"name": trial.question.exhibit.model, "title": trial.question.choice["model"]},
        "eps": number(255 * found.eps),
        "steps": trial.question.settings.steps,
        "count": found.tokens,
        "source": found.source,
        "label": shown(found.classes[found.label]),
        "patches": rows * columns,
        "even": number(found.tokens / (found.tokens + found.others)),
        "columns": list(found.columns),
        "threshold": number(found.threshold),
        "blocks": len(found.columns),
        "verdict": verdict(found),
        "sentence": honest(found),
        "notes": list(found.notes),
        "whole": found.whole or trial.why is not None,
        "curve": _curve(found),
        "clean": _clean(found),
        "threats": [_threat(each, found) for each in found.threats],
    }


def _strongest(trial: Trial, found: Report) -> str:
    """The picture that the last attacker made against the feature, to take away; "" before any."""
    if found.clean is None or trial.made is None:
        return ""
    if not found.outcomes:
        return png_of(found.clean.pixels, trial.made.origin)
    last = found.outcomes[-1]
    about = {"threat": last.threat.name, "aim": "feature", **trial.made.origin}
    return png_of(last.feature.pixels, about)


def _curve(found: Report) -> dict[str, Any] | None:
    if not found.curve_asked:
        return None
    points = [[each.step, number(each.inv), number(each.adv)] for each in found.curve]
    return {"asked": found.curve_asked, "points": points, "source": found.source}


def _clean(found: Report) -> dict[str, Any] | None:
    look = found.clean
    if look is None:
        return None
    return {
        "picture": png(look.pixels),
        **_judged(look, found),
        "inside": found.rest and _inside(found.rest),
    }


def _threat(of: Threat, found: Report) -> dict[str, Any]:
    made = next((each for each in found.outcomes if each.threat is of), None)
    return {
        "name": of.name,
        "title": of.title,
        "knows": of.knows,
        "gradients": made and made.gradients,
        "feature": made and _shot(made.feature, found),
        "answer": made and _shot(made.answer, found),
        "inside": made and _inside(made.inside),
    }


def _shot(look: Look, found: Report) -> dict[str, Any]:
    assert found.clean is not None  # it is looked at before anyone attacks
    return {"picture": png_change(look.pixels, found.clean.pixels), **_judged(look, found)}


def _judged(look: Look, found: Report) -> dict[str, Any]:
    return {
        "linf": look.linf,
        "public": _said(look.public, found),
        "private": _said(look.private, found),
        "top": _likeliest(look, found),
    }


def _said(of: Said, found: Report) -> dict[str, Any]:
    answer, likely = of.top[0]
    return {
        "kept": number(of.kept),
        "own": number(of.own),
        "answer": shown(found.classes[answer]),
        "p": number(likely),
        "fooled": of.fooled,
    }


def _likeliest(look: Look, found: Report) -> list[dict[str, Any]]:
    """Classes among the five of either model, the likeliest first; None where a model's five lack one."""
    public, private = dict(look.public.top), dict(look.private.top)
    either = sorted(
        {*public, *private}, key=lambda each: -max(public.get(each, 0.0), private.get(each, 0.0))
    )
    return [
        {
            "name": shown(found.classes[each]),
            "public": _known(public.get(each)),
            "private": _known(private.get(each)),
        }
        for each in either
    ]


def _known(likely: float | None) -> float | None:
    return None if likely is None else number(likely)


def _inside(of: Both) -> dict[str, Any]:
    """What the views draw of a picture inside both models, block by block."""
    mass, own = of.private.mass, of.private.own
    assert mass is not None  # the private model has tokens
    assert own is not None
    return {
        "mass": table(mass),
        "own": table(own),
        "largest": _pair(of, "largest"),
        "outliers": _pair(of, "outliers"),
        "spared": table(of.private.spared),
        "kept": None if of.public.kept is None or of.private.kept is None else _pair(of, "kept"),
    }


def _pair(of: Both, name: str) -> dict[str, Any]:
    """A figure of each block, in both models."""
    return {"public": table(getattr(of.public, name)), "private": table(getattr(of.private, name))}
