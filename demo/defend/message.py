"""A report as one JSON object: what the linked views of `defend.js` draw from, all worked out; and what
was measured on photographs, for the same views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from demo.defend.trial import Trial
from demo.kit.packing import png, png_change, png_of, shown
from demo.kit.reporting import opening
from engine.core.figures import number
from engine.evaluate.interval import Estimate
from engine.papers.aas_at import export
from engine.papers.aas_at.compare import Report, Stand, Try
from engine.papers.aas_at.findings import Attack, Findings, Judged, bought, hidden
from engine.papers.told import studies


def message(trial: Trial, found: Report) -> dict[str, Any]:
    """All that is known so far of a run."""
    assert trial.made is not None
    weights = trial.question.exhibit.weights
    data = export.summary(found, trial.made, weights)
    hardest = max(found.stands, key=lambda each: (each.model.role == "robust", each.tries[-1].eps))
    about = {"model": hardest.model.name, "eps_255": hardest.tries[-1].eps, **trial.made.origin}
    return {
        **opening(trial, data, export.table(data), png_of(hardest.tries[-1].pixels, about)),
        "attack": trial.question.title,
        "ladder": list(found.ladder),
        "eps": found.eps,
        "whole": found.whole,
        "said": _said(found),
        "models": [_stand(each, found) for each in found.stands],
    }


def measured() -> dict[str, Any] | None:
    """What the photographs say: the study of the most models; None where there is none."""
    found = [each.findings for each in studies("aas_at", Findings)]
    if not found:
        return None
    best = max(found, key=lambda each: (len(each.models), each.pictures))
    return {
        "pictures": best.pictures,
        "eps": best.eps,
        "bought": list(bought(best)),
        "hidden": list(hidden(best)),
        "models": [
            {
                "name": each.model,
                "title": each.title,
                "role": each.role,
                "curve": [
                    [0, *_shares(_rate(each, "clean"))],
                    *([point.eps, *_shares(point.rate)] for point in each.curve),
                ],
                "lent": each.under("borrowed") and _shares(_rate(each, "borrowed")),
            }
            for each in best.models
        ],
    }


def _rate(of: Judged, attack: Attack) -> Estimate:
    found = of.under(attack)
    assert found is not None
    return found.rate


def _shares(of: Estimate) -> list[float | None]:
    return [number(each / 100) for each in (of.value, of.low, of.high)]


def _stand(each: Stand, found: Report) -> dict[str, Any]:
    clean, lent = each.tries[0], each.borrowed
    classes = each.model.victim.spec.classes
    return {
        "name": each.model.name,
        "title": each.model.title,
        "role": each.model.role,
        "called": shown(classes[each.label]),
        "falls": each.falls,
        "fall": export.fall(each, found),
        "misled": each.misled,
        "borrowed": lent and {"eps": lent.eps, "maker": lent.maker},
        "tries": [_try(it, classes, clean.pixels) for it in each.tries],
    }


def _try(it: Try, classes: Sequence[str], clean: Tensor) -> dict[str, Any]:
    return {
        "eps": it.eps,
        "steps": it.steps,
        "answer": shown(classes[it.answer]),
        "p": number(it.probability),
        "fooled": it.fooled,
        "picture": png_change(it.pixels, clean) if it.eps else png(it.pixels),
    }


def _said(found: Report) -> list[str]:
    """Where each model falls on this picture, and whether one only seems to stand."""
    own = [each for each in found.stands if each.model.role != "control"]
    parts = [
        f"{_the(each)} {_falls(each, found).removeprefix('falls ' * _again(own, at))}"
        for at, each in enumerate(own)
    ]
    return [f"{', '.join(parts)}.", *(_lent(each, found) for each in found.stands if each.misled)]


def _the(each: Stand) -> str:
    return "the " * (each.model.role == "plain") + each.model.title


def _again(stands: Sequence[Stand], at: int) -> bool:
    """Whether a model falls, as the one before it."""
    return at > 0 and bool(stands[at].falls) and bool(stands[at - 1].falls)


def _falls(each: Stand, found: Report) -> str:
    if each.falls is None:
        return f"stands at {found.eps}/255" if found.eps else "is right"
    return f"falls at {each.falls}/255" if each.falls else "is wrong even unattacked"


def _lent(each: Stand, found: Report) -> str:
    """Of a model that a picture fools which was made without its gradient, before its own."""
    assert each.borrowed is not None
    maker, eps = each.borrowed.maker, each.borrowed.eps
    if each.model.role != "control":
        return f"A picture made on {maker} fools {each.model.title} at {eps}/255, before its own gradient."
    until = f"until {each.falls}/255" if each.falls else f"at {found.eps}/255"
    return (
        f"The control seems to stand {until}, yet a picture made on {maker} fools it at {eps}/255: "
        "its gradient is hidden, it does not resist."
    )
