"""What a model shows on a picture, in words: whether its softmax hides the gradient, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from engine.probe.scores import CANCELS, UNDERFLOWS

if TYPE_CHECKING:
    from engine.papers.aas.compare import Outcome, Report

OWN, EXACT = "base", "float64"


def told(found: Report) -> str:
    """How far rows lead, whether float64 sees another gradient, and who fools the model."""
    if not found.right:
        return (
            f"{_leads(found)} The model is wrong about the clean picture already, so that no attack "
            "can show anything here."
        )
    return " ".join(filter(None, (_leads(found), _direction(found), _fooled(found))))


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
        f"{_percent(rounds)} of the rows of scores lead by more than {CANCELS:g}, where float32 rounds "
        f"the softmax, and {_percent(gone)} by more than {UNDERFLOWS:g}, where all but the top "
        "underflow to 0."
    )


def _direction(found: Report) -> str:
    """Float64 against float32 at the pixels, and against the model without c."""
    exact, aligned = float(found.cosine[-1]), float(found.aligned[-1])
    if exact != exact:  # a gradient of zeros
        same = "In float32 or in float64, the gradient at the pixels is all zero."
    elif exact > 0.99:
        same = f"Float64 finds the same gradient (cosine {exact:.3f})"
    else:
        same = f"Float64 finds another gradient (cosine {exact:.2f})"
    if exact != exact:
        return same
    if found.c == 1:
        return f"{same}."
    return f"{same}; with that of the model whose scores are not multiplied it has {aligned:.2f}."


def _fooled(found: Report) -> str:
    own, exact = found.outcome(OWN), found.outcome(EXACT)
    if own is None:
        return ""
    if own.fooled:
        return (
            f"Its own gradient fools it in {_steps(own)}: nothing that the attack needs is hidden."
        )
    others = [each for each in found.outcomes if each.fooled and each.name != EXACT]
    if not others:
        said = "Neither its own gradient nor any scaled one fools it"
        return f"{said}: nothing was found that hides." if found.whole else f"{said} so far."
    names = ", ".join(_called(each) for each in others)
    said = f"Its own gradient does not fool it in {_steps(own)}, but these do: {names}."
    if exact is None:
        return f"{said} So its own gradient hides the way."
    if exact.fooled:
        return f"{said} So does float64: rounding hides the way."
    return (
        f"{said} Float64 does not, so it is not rounding that hides the way: the gradient is right "
        "where it is taken, and leads nowhere."
    )


def _called(of: Outcome) -> str:
    return of.title if of.factor is None else f"{of.title} ({of.factor:.3g})"


def _steps(of: Outcome) -> str:
    return f"{of.gradients} step{'s' * (of.gradients != 1)}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _largest(values: Tensor) -> Tensor:
    return values.nan_to_num(0.0).max()
