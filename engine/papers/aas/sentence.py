"""What a model shows on a picture, in words: whether its softmax hides the gradient, and why."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import Tensor

from engine.probe.scores import CANCELS, UNDERFLOWS

if TYPE_CHECKING:
    from engine.papers.aas.compare import Outcome, Report

OWN, EXACT = "base", "float64"
SAME = 0.99
"""A cosine from which on two gradients are the same."""
_PRECISION = {"as it is": "float32 only", "float64": "float64 only"}


def told(found: Report) -> str:
    """How far rows lead, whether float64 sees another gradient, and who fools the model."""
    if not found.right:
        return (
            f"{_leads(found)} The model is wrong about the clean picture already, so that no attack "
            "can show anything here."
        )
    return " ".join(filter(None, (_leads(found), _direction(found), _fooled(found))))


def verdict(found: Report) -> str:
    """The same in a few words."""
    own, exact = found.outcome(OWN), found.outcome(EXACT)
    if not found.right:
        return "Wrong before any attack."
    if own is None:
        return "Not attacked yet."
    if own.fooled:
        return "Not masked: its own gradient fools it."
    if not any(each.fooled for each in found.outcomes):
        return f"Nothing {'tried' if found.whole else 'so far'} fools it."
    if exact is None:
        return "Masked: its own gradient goes astray, another does not."
    by = "rounding: float64 undoes it" if exact.fooled else "saturation, not by rounding"
    return f"Masked by {by}."


def share(found: Report, name: str) -> float:
    """The share of all rows of the clean picture beyond that threshold."""
    gaps = found.gaps["clean"]
    rows = gaps.counts.sum(-1)
    return float((gaps.past[name].nan_to_num() * rows).sum() / rows.sum())


def _leads(found: Report) -> str:
    most = float(_largest(found.gaps["clean"].largest))
    if most < CANCELS:
        return (
            f"No row of scores leads by {CANCELS:g}, where float32 rounds its softmax (the most is "
            f"{most:.1f}): underflow, as the paper describes it, does not occur here."
        )
    rounds, gone = share(found, "float32 rounds"), share(found, "float32 underflows")
    return (
        f"Of the rows of scores {_percent(rounds)} lead by more than {CANCELS:g}, where float32 rounds "
        f"the softmax, and {_percent(gone)} by more than {UNDERFLOWS:g}, where all but the top "
        "underflow to 0."
    )


def _direction(found: Report) -> str:
    """Float64 against float32 at the pixels, and against the model without c."""
    exact, aligned = float(found.cosine[-1]), float(found.aligned[-1])
    if math.isnan(exact):
        where = [name for name in ("as it is", "float64") if not found.norms[name][-1]]
        words = "float32 and in float64" if len(where) == 2 else _PRECISION[where[0]]
        return f"At the pixels the gradient is exactly zero in {words}."
    if exact > SAME:
        same = f"Float64 finds the same gradient (cosine {exact:.3f})"
    else:
        same = f"Float64 finds another gradient (cosine {_signed(exact)})"
    if found.c == 1 or math.isnan(aligned):
        return f"{same}."
    return f"{same}; with that of the model without c it has {_signed(aligned)}."


def _fooled(found: Report) -> str:
    own, exact = found.outcome(OWN), found.outcome(EXACT)
    if own is None:
        return ""
    if own.fooled:
        return (
            f"Its own gradient fools it in {_steps(own)}: nothing that the attack needs is hidden."
        )
    others = [each for each in found.outcomes if each.fooled]
    if not others:
        said = "Neither its own gradient nor any scaled one fools it"
        return f"{said}: nothing was found that hides." if found.whole else f"{said} so far."
    names = ", ".join(_called(each) for each in others)
    said = f"Its own gradient does not fool it in {_steps(own)}, but this does: {names}."
    if exact is None:
        return said
    if exact.fooled:
        return f"{said} Float64 is enough: rounding hides the way."
    said = f"{said} Float64 does not: it is not rounding that hides the way."
    if found.cosine[-1] > SAME:
        return f"{said[:-1]}; the gradient is right where it is taken, and leads nowhere."
    return said


def _called(of: Outcome) -> str:
    return of.title if of.factor is None else f"{of.title} ({of.factor:.3g})"


def _steps(of: Outcome) -> str:
    return f"{of.gradients} step{'s' * (of.gradients != 1)}"


def _percent(value: float) -> str:
    if 0 < value < 0.0005:
        return "less than 0.1 %"
    return f"{100 * value:.1f} %" if value else "none"


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-0.00", "0.00").replace("-", "−")


def _largest(values: Tensor) -> Tensor:
    return values.nan_to_num(0.0).max()
