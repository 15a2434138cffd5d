"""Knobs: what is declared is what is allowed, and what is typed is what is meant."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest

from engine.core.errors import BadKnob
from engine.core.knobs import Knobbed, knob, knobs


@dataclass(frozen=True)
class Panel(Knobbed):
    eps: float = knob(8 / 255, "Budget.", label="Budget", low=1 / 255, high=32 / 255, unit="1/255")
    steps: int = knob(10, "Steps.", low=1, high=200)
    site: str = knob("scores", "Site.", choices=("scores", "map"))
    random: bool = knob(True, "Start.")
    file: str = knob("own", "File.", choices=("own", "random"), open=True)


BY_NAME = {each.name: each for each in knobs(Panel)}


def test_defaults_are_allowed_and_declared_once_in_order() -> None:
    assert [each.name for each in knobs(Panel)] == ["eps", "steps", "site", "random", "file"]
    assert Panel() == Panel(**{each.name: each.default for each in knobs(Panel)})
    assert [each.kind for each in knobs(Panel)] == ["number", "integer", "choice", "flag", "text"]


@pytest.mark.parametrize(
    ("name", "word", "value"),
    [
        ("eps", "8/255", 8 / 255),
        ("eps", "0.0625", 0.0625),
        ("steps", "20", 20),
        ("site", "map", "map"),
        ("random", "false", False),
        ("file", "random", "random"),
        ("file", "deit3_base.fb_in1k", "deit3_base.fb_in1k"),
    ],
)
def test_words_are_read_as_they_are_meant(name: str, word: str, value: object) -> None:
    assert BY_NAME[name].parse(word) == value


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("eps", "nan"),
        ("eps", "0"),
        ("eps", "8"),
        ("eps", "inf"),
        ("eps", "eight"),
        ("eps", "8/0"),
        ("steps", "2.5"),
        ("steps", "0"),
        ("steps", "201"),
        ("site", "qkv"),
        ("random", "maybe"),
        ("file", ""),
        ("file", "a/b"),
        ("file", "a|b"),
        ("file", "a,b=c"),
    ],
)
def test_what_is_not_allowed_is_refused_in_one_sentence(name: str, word: str) -> None:
    with pytest.raises(BadKnob) as caught:
        BY_NAME[name].parse(word)
    assert caught.value.sentence.count(".") <= 2
    assert "Choose" in caught.value.hint


def test_a_value_is_checked_when_the_panel_is_made() -> None:
    with pytest.raises(BadKnob, match=r"Budget cannot be nan/255\. Choose a number from 1/255"):
        Panel(eps=math.nan)
    assert Panel(steps=5.0).steps == 5  # pyright: ignore[reportArgumentType]


def test_pixel_distances_are_shown_in_255ths() -> None:
    assert BY_NAME["eps"].show(16 / 255) == "16/255"
    assert BY_NAME["eps"].allowed == "a number from 1/255 to 32/255"
