"""A link says how the controls of a page stand, and whatever else it says is left out."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest

from demo.kit import link
from demo.kit.door import Door

PAGES = ("", "transfer", "why", "why-masked", "cost", "cost-tokens", "defend", "defend-tokens")


def code(told: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(told).encode()).decode().rstrip("=")


@pytest.mark.parametrize("page", PAGES)
def test_every_page_is_told_of_in_a_link_and_comes_back_from_it(
    doors: dict[str, Door[Any]], page: str
) -> None:
    door = doors[page]
    assert door.spelt(door.first) == ""
    assert door.set_up({}) == (door.first, [])
    steps = "knob-steps" if not page else "steps"
    changes = {steps: 3} | ({} if page == "transfer" else {"source": "sample:tench"})
    values, lost = door.set_up(changes)
    assert not lost
    assert {name: values[name] for name in changes} == changes
    spelt = door.spelt(values)
    assert link.read(spelt).changes == changes
    assert door.set_up(link.read(spelt).changes) == (values, [])
    door.make("", values)  # Run takes it


def test_another_attack_brings_its_own_knobs_and_the_link_does_not_repeat_them(
    doors: dict[str, Door[Any]],
) -> None:
    lab = doors[""]
    values, lost = lab.set_up({"attack": "fgsm"})
    assert not lost
    assert values["knob-steps"] == 1
    assert link.read(lab.spelt(values)).changes == {"attack": "fgsm"}
    asked = lab.make("", values).request
    assert asked.recipe == type(asked.recipe)()


@pytest.mark.parametrize(
    ("changes", "lost"),
    [
        ({"attack": "no such attack"}, ["attack"]),
        ({"knob-eps": 4000, "seed": 7}, ["knob-eps"]),
        ({"knob-eps": True}, ["knob-eps"]),
        ({"knob-steps": "many"}, ["knob-steps"]),
        ({"source": "/etc/passwd"}, ["source"]),
        ({"source": "sample:../../LICENSE"}, ["source"]),
        ({"alter": "ats"}, ["alter"]),
        ({"alter": ["ats", {"a": 1}]}, ["alter"]),
        ({"nothing": 1, "seed": 7}, ["nothing"]),
        ({"target": "no class", "goal": "a class I choose"}, ["target"]),
        ({"others": ["no model"], "attack": "tgr"}, ["others"]),
    ],
)
def test_what_a_page_does_not_have_is_left_out_and_named(
    doors: dict[str, Door[Any]], changes: dict[str, Any], lost: list[str]
) -> None:
    values, found = doors[""].set_up(changes)
    assert found == lost
    kept = {name: value for name, value in changes.items() if name not in lost}
    assert {name: values[name] for name in kept} == kept
    for name in set(lost) & set(values):
        assert values[name] != changes[name]


@pytest.mark.parametrize(
    "text",
    ["%", "AAAA", "===", "\u00e9", "W10", code([1]), code("x"), "e" * 10_000, code({})[:-1] + "!"],
)
def test_of_a_damaged_link_nothing_is_left(text: str) -> None:
    found = link.read(text)
    assert not found.whole
    assert found.changes == {}


def test_a_deep_link_is_damaged_in_no_time() -> None:
    began = time.process_time()
    assert not link.read(base64.urlsafe_b64encode(b"[" * 4000).decode()).whole
    assert time.process_time() - began < 1


def test_a_picture_of_ones_own_is_in_no_link(doors: dict[str, Door[Any]]) -> None:
    door = doors[""]
    values = dict(door.first) | {"source": "/somewhere/me.png", "seed": 3}
    found = link.read(door.spelt(values))
    assert found.own
    assert found.changes == {"seed": 3}
    assert "somewhere" not in base64.b64decode(door.spelt(values) + "==").decode()


def test_an_address_asks_for_controls_for_a_run_or_for_nothing() -> None:
    assert link.asked("") is None
    assert link.asked("?__theme=dark") is None
    spelt = link.spell({"a": 1, "b": 2}, {"a": 1, "b": 3})
    found = link.asked(f"?c={spelt}&r=1")
    assert found is not None
    assert (found.changes, found.run, found.code) == ({"b": 2}, True, spelt)
