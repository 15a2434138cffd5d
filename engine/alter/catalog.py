"""The alterations, in display order. A newcomer adds one file in this folder and one line here."""

from __future__ import annotations

from collections.abc import Iterable

from engine.alter.alteration import Alteration, Stack
from engine.alter.ats import TokenSampling
from engine.alter.bfloat16 import BFloat16
from engine.alter.cap import Cap
from engine.alter.float64 import Float64
from engine.alter.quantize.int8 import Int8
from engine.alter.saturated import Saturated
from engine.alter.scaled import Scaled
from engine.alter.tokens import RobustnessTokens
from engine.alter.topk import FixedRatio
from engine.core.errors import EngineError, UnknownName
from engine.core.knobs import typed

ALTERATIONS: tuple[type[Alteration], ...] = (
    TokenSampling,
    FixedRatio,
    Cap,
    RobustnessTokens,
    Int8,
    Scaled,
    Saturated,
    BFloat16,
    Float64,
)
BY_NAME = {each.name: each for each in ALTERATIONS}
ON = "|"


def parse(text: str) -> Alteration:
    """The alteration that is spelled so, `int8:threshold=4,product=compact`.

    Raises UnknownName, BadKnob, or EngineError where a knob has no value.
    """
    name, _, told = text.strip().partition(":")
    if name not in BY_NAME:
        raise UnknownName("alteration", name, tuple(BY_NAME))
    settings: dict[str, str] = {}
    for each in told.split(",") if told else ():
        key, given, word = each.partition("=")
        if not given or key.strip() in settings:
            raise EngineError(
                f"“{each}” is no setting of {name}.", "Write it as knob=value, each knob once."
            )
        settings[key.strip()] = word
    return typed(BY_NAME[name], name, settings)


def spell(alteration: Alteration) -> str:
    """How it is written: `parse` makes of it the very same value."""
    return str(alteration)


def parse_stack(text: str) -> Stack:
    """The stack that is spelled so, `ats|int8:threshold=4`; of "", none."""
    return tuple(parse(each) for each in text.split(ON)) if text.strip() else ()


def spell_stack(stack: Iterable[Alteration]) -> str:
    """How a stack is written: `parse_stack` makes of it the very same."""
    return ON.join(map(spell, stack))
