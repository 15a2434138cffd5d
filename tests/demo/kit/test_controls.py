"""Controls and knobs are the same list: every knob has its control, and values go both ways."""

from __future__ import annotations

import math

import gradio as gr
import pytest

from demo.kit import controls
from engine.attack.catalog import BY_NAME, RECIPES
from engine.core.errors import BadKnob
from engine.core.knobs import knobs


@pytest.fixture(scope="module")
def made() -> dict[str, gr.components.Component]:
    with gr.Blocks(analytics_enabled=False):
        return controls.make(True, RECIPES[0]()) | controls.make(False, RECIPES[0]())


def test_every_knob_of_every_recipe_has_one_control(
    made: dict[str, gr.components.Component],
) -> None:
    assert set(made) == {each.name for kind in RECIPES for each in knobs(kind)}


def test_a_name_means_one_kind_of_control_in_all_recipes() -> None:
    kinds: dict[str, set[str]] = {}
    for kind in RECIPES:
        for each in knobs(kind):
            shown = "slider" if each.kind in ("integer", "number") else each.kind
            kinds.setdefault(each.name, set()).add(f"{shown} {each.unit}")
    assert {name: found for name, found in kinds.items() if len(found) > 1} == {}


@pytest.mark.parametrize("name", BY_NAME)
def test_shown_defaults_give_the_recipe_as_declared(name: str) -> None:
    kind = BY_NAME[name]
    values = {each.name: controls.to_control(each, each.default) for each in knobs(kind)}
    found = controls.chosen(name, values)
    for each in knobs(kind):
        assert getattr(found, each.name) == pytest.approx(getattr(kind(), each.name), abs=1e-9)


@pytest.mark.parametrize("name", BY_NAME)
def test_sliders_can_stand_on_every_default(name: str) -> None:
    """A browser moves a slider's value to the next stop: the default must be a stop."""
    for each in knobs(BY_NAME[name]):
        look = controls.appearance(BY_NAME[name], each.name)
        if look["visible"] and "step" in look:
            stops = (look["value"] - look["minimum"]) / look["step"]
            assert math.isclose(stops, round(stops), abs_tol=1e-6), each.name


@pytest.mark.parametrize("value", [math.nan, math.inf, None, "", 0.5, 33, -1])
def test_a_bad_eps_is_refused(value: object) -> None:
    with pytest.raises(BadKnob):
        controls.chosen("pgd", {"eps": value})


def test_an_eps_of_zero_is_a_control_and_less_than_a_grey_level_is_refused() -> None:
    assert controls.chosen("pgd", {"eps": 0}).eps == 0
    with pytest.raises(BadKnob, match="0, or a number from 1/255 to 32/255"):
        controls.chosen("pgd", {"eps": 0.9})


def test_switching_keeps_what_the_visitor_changed_and_else_takes_the_new_default() -> None:
    names = ["eps", "steps", "random_start"]
    looks = controls.switched("pgd", "tgr", names, [4, 10, True])
    eps, steps, start = looks
    assert eps["value"] == 4
    assert steps["value"] == 10
    assert start == {"visible": False}
    assert controls.switched("pgd", "tgr", names, [8, 10, True])[0]["value"] == 16
    # CW L2 keeps a distance small instead of a budget: what another attack may change is not for it
    assert controls.switched("pgd", "cw_l2", names, [4, 12, True])[0]["value"] == 255
    assert controls.switched("cw_l2", "pgd", names, [255, 40, True])[0]["value"] == 8


def test_a_knob_with_one_value_is_hidden_and_not_asked() -> None:
    assert controls.appearance(BY_NAME["fgsm"], "steps") == {"visible": False, "value": 1}
    assert controls.chosen("fgsm", {"eps": 8, "steps": 77}).steps == 1
