"""The Lab's controls stand for stacks exactly, and say them in words."""

from __future__ import annotations

from typing import Any

import pytest

from demo.lab import stack
from engine.alter.ats import TokenSampling
from engine.alter.bfloat16 import BFloat16
from engine.alter.catalog import ALTERATIONS, spell_stack
from engine.alter.float64 import Float64
from engine.alter.quantize.int8 import Int8
from engine.alter.saturated import Saturated
from engine.alter.scaled import Scaled
from engine.arguments import BARE
from engine.core.errors import BadKnob, EngineError
from engine.core.knobs import knobs


def values(*alter: str, craft_on: str = stack.JUDGED, **turned: Any) -> dict[str, Any]:
    """The controls as they stand at first, with these alterations and knobs."""
    first = {name: each.default for name, (_, each) in stack.KNOBS.items()}
    told = {f"alter-{name.replace('_', '-')}": value for name, value in turned.items()}
    assert set(told) <= set(first)
    return first | told | {"alter": list(alter), "craft_on": craft_on}


def test_every_knob_of_every_alteration_has_one_control() -> None:
    assert len(stack.KNOBS) == sum(len(knobs(kind)) for kind in ALTERATIONS)


def test_the_order_of_choosing_is_the_order_of_the_stack() -> None:
    found = stack.judged(values("int8", "ats", int8_threshold=4, ats_first=3))
    assert spell_stack(found) == "int8:threshold=4|ats:first=3"
    assert stack.judged(values()) == ()


def test_a_stack_is_said_with_what_was_turned() -> None:
    assert stack.in_words((TokenSampling(), Int8(threshold=4))) == "ATS, LLM.int8 (threshold 4)"


@pytest.mark.parametrize(
    ("craft_on", "alter", "crafted"),
    [
        (stack.JUDGED, ("ats",), None),
        (stack.COARSE, (), (BFloat16(),)),
        (stack.COARSE, ("ats",), (TokenSampling(), BFloat16())),
        (stack.COARSE, ("bfloat16",), None),
        (stack.FINE, ("ats",), (TokenSampling(), Float64())),
        (stack.AAS, ("saturated",), (Saturated(), Scaled())),
        (BARE, ("ats",), ()),
        ("ats", (), (TokenSampling(),)),
        ("ats|int8:threshold=4", (), (TokenSampling(), Int8(threshold=4))),
    ],
)
def test_what_the_attack_is_crafted_on(craft_on: str, alter: tuple[str, ...], crafted: Any) -> None:
    found = stack.crafted(values(*alter, craft_on=craft_on))
    assert (found and spell_stack(found)) == (crafted and spell_stack(crafted))


@pytest.mark.parametrize("craft_on", ["nonsense", "int8:threshold", "ats||int8"])
def test_what_is_typed_wrongly_is_a_sentence(craft_on: str) -> None:
    with pytest.raises(EngineError):
        stack.crafted(values(craft_on=craft_on))


def test_a_knob_of_an_alteration_is_checked() -> None:
    with pytest.raises(BadKnob):
        stack.judged(values("int8", int8_threshold=-1))


def test_tokens_are_chosen_by_a_word_or_by_the_name_of_their_file() -> None:
    assert spell_stack(stack.judged(values("tokens"))) == "tokens"
    found = stack.judged(values("tokens", tokens_file="mine.v1"))
    assert spell_stack(found) == "tokens:file=mine.v1"
    assert stack.in_words(found) == "Robustness Tokens (which tokens mine.v1)"
    control = stack.settings(main=True)["alter-tokens-file"]
    assert (control.allow_custom_value, len(control.choices)) == (True, 3)
    for typed in ("../secret", "/etc/passwd", "", None, 3):
        with pytest.raises(BadKnob, match="Which tokens cannot be"):
            stack.judged(values("tokens", tokens_file=typed))


def test_knobs_are_seen_with_their_alteration_alone() -> None:
    for alter, craft_on, shown in (
        (["int8"], stack.JUDGED, {"int8"}),
        (["ats"], stack.AAS, {"ats", "scaled"}),
        ([], "saturated", {"saturated"}),
    ):
        seen = {name for name, look in stack.looks(alter, craft_on).items() if look["visible"]}
        assert seen == {name for name in stack.KNOBS if name.split("-")[1] in shown}


def test_what_belongs_to_a_picture_is_crafted_on_and_not_judged() -> None:
    judged = {name for _, name in stack.chooser().choices}
    assert {kind.name for kind in ALTERATIONS} - judged == {"scaled"}
