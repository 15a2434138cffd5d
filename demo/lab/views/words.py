"""What a result says in words: how far each picture got, by the criterion, and what to know first."""

from __future__ import annotations

from typing import Any

from demo.kit.packing import shown
from engine.alter.quantize.int8 import Int8
from engine.papers.quant.threshold import Threshold
from engine.studio import Frame, Result, Transfer


def told(result: Result, frame: Frame) -> dict[str, Any]:
    """A stored picture as a badge with its state ("yes", "half", "no") and a clause beside it."""
    verdict = result.verdict(frame)
    last = frame is result.adversarial
    state, word = verdict.state, shown(verdict.short)
    if last and result.distances.linf == 0:
        state, word = "no", "no change"
    elif frame is result.clean and not last:
        state, word = "no", "clean"
    elif not last and not frame.reached:
        state, word = "no", "not yet"
    elif result.request.stranger and not frame.figures:
        state = "half" if frame.reached else "no"
        word = "answer moved" if frame.reached else "answer not moved"
    # Where success is another answer, the answers stand beside the badge already.
    clause = _typeset(verdict.text) if frame.figures and frame is not result.clean else ""
    return {"state": state, "word": word, "text": clause, "reached": frame.reached}


def first(result: Result) -> int | None:
    """The first stored picture that the criterion is reached at."""
    reached = (index for index, frame in enumerate(result.frames) if frame.reached)
    return next(reached, None)


def caveats(result: Result) -> list[str]:
    """What must be known before the verdict is believed."""
    said: list[str] = []
    known = result.familiar
    if stranger := result.request.stranger:
        said.append(
            "This model has no class for the picture: the answers show what the attack moves, "
            f"not a mistake about {stranger}."
        )
    elif result.unsure and known:
        said.append(
            "The model is not sure that the picture is of any of its "
            f"{len(result.spec.classes)} classes (largest logit {_short(result.clean.logit)}, below "
            f"{_short(known.threshold)}, as for {_percent(known.flags)} of the pictures it knows and "
            f"{_percent(known.catches)} of others)."
        )
    if result.clean.top != result.label:
        said.append(
            "The model misreads the clean picture already: its label is "
            f"{shown(result.name(result.label))}."
        )
    if result.distances.linf == 0 and result.moved > 0:
        said.append(
            f"The attack has moved pixels by {_short(result.moved * 255)}/255 so far; an 8-bit "
            "picture shows no change below 0.5/255."
        )
    return [*said, *result.told]


def control(result: Result) -> str:
    """What random noise of the same size does."""
    clean, noise = result.clean, result.noise
    answer = f"{shown(result.name(noise.top))} {float(noise.probabilities[noise.top]):.2f}"
    if noise.figures:
        return f"Random noise of equal size: {answer}, {_typeset(result.verdict(noise).text)}."
    if noise.top == clean.top:
        return f"Random noise of equal size: still {answer}."
    return f"Random noise of equal size: {answer} – the model errs under noise as well."


def shown_to(transfers: tuple[Transfer, ...]) -> str | None:
    """How many of the other models changed their answer, of those that know the class."""
    asked = [each for each in transfers if each.comparable]
    if not asked:
        return None
    changed = sum(each.changed for each in asked)
    whose = "other model" if len(asked) == 1 else "other models"
    its = "its" if len(asked) == 1 else "their"
    return f"Shown to {len(asked)} {whose}: {changed} of {len(asked)} changed {its} answer."


def threshold(int8: Int8 | None, set_by: Threshold | None) -> str:
    """Where the threshold comes from at which outliers are counted first."""
    if int8:
        return f"{int8.threshold:g} as in the int8 model that is judged"
    if set_by is None:
        return "6.0 as published for LLM.int8"
    few = (
        f"Only {_percent(set_by.at_published, 2)} reach" if set_by.at_published else "None reaches"
    )
    return (
        f"Set for this model, as on the Cost page: {_percent(set_by.share, 1)} of the columns of "
        f"{set_by.pictures} clean sample pictures reach {set_by.value:.2f}. {few} the published 6.0"
    )


def _typeset(text: str) -> str:
    return shown(text).replace("->", "→").replace(" x ", " × ")


def _short(value: float) -> str:
    return f"{value:.2g}".replace("-", "−")


def _percent(share: float, digits: int = 0) -> str:
    digits = digits or (1 if 0 < share < 0.1 else 0)
    return f"{100 * share:.{digits}f} %"
