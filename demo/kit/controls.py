"""Controls made from the knobs that recipes declare: there is no second list of them here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import gradio as gr
from gradio.components import Component

from engine.attack.catalog import BY_NAME, RECIPES, recipe
from engine.attack.recipe import Recipe
from engine.core.errors import BadKnob
from engine.core.knobs import Knob, knobs

Shown = dict[str, Any]


def union(main: bool) -> tuple[Knob, ...]:
    """Every knob of every recipe once, in order of first appearance; `main` where any says so."""
    found: dict[str, list[Knob]] = {}
    for kind in RECIPES:
        for each in knobs(kind):
            found.setdefault(each.name, []).append(each)
    return tuple(each[0] for each in found.values() if any(k.main for k in each) == main)


def make(main: bool, first: Recipe) -> dict[str, Component]:
    """One control per knob name, in the current layout, set up for the recipe `first`."""
    made: dict[str, Component] = {}
    for each in union(main):
        look = appearance(type(first), each.name)
        if look["visible"]:
            look["value"] = to_control(each, getattr(first, each.name))
        else:
            look = {"visible": False}
        made[each.name] = control(each, f"knob-{each.name}", slides=_slides(each.name), **look)
    return made


def control(knob: Knob, elem_id: str, slides: bool | None = None, **look: Any) -> Component:
    """A knob's control in the current layout, at its default but for what `look` says."""
    slides = _fits(knob) if slides is None else slides
    kinds: dict[str, type[Component]] = {
        "flag": gr.Checkbox,
        "choice": gr.Dropdown,
        "text": gr.Dropdown,
    }
    kind = kinds.get(knob.kind, gr.Slider if slides else gr.Number)
    settings = {**_settings(knob, slides), **look}
    return kind(**settings, interactive=True, elem_id=elem_id, min_width=120)


def appearance(kind: type[Recipe], name: str) -> Shown:
    """How the control of that name looks for this recipe; hidden where nothing is to choose."""
    declared = {each.name: each for each in knobs(kind)}
    if name not in declared:
        return {"visible": False}
    each = declared[name]
    if _fixed(each):  # a slider from 1 to 1 is none, but the value is what the sentence says
        return {"visible": False, "value": to_control(each, each.default)}
    return _settings(each, _slides(name)) | {"visible": True}


def switched(before: str, after: str, names: Sequence[str], values: Sequence[Any]) -> list[Shown]:
    """All controls for another recipe: what the visitor had changed stays where it is allowed.

    A budget does not come along to an attack that has none of its own.
    """
    old = {each.name: each for each in knobs(BY_NAME[before])}
    new = {each.name: each for each in knobs(BY_NAME[after])}
    looks: list[Shown] = []
    for name, value in zip(names, values, strict=True):
        look = appearance(BY_NAME[after], name)
        was, now = old.get(name), new.get(name)
        changed = was and value != to_control(was, was.default)
        if changed and now and not _boundless(now) and _allowed(now, value):
            look["value"] = value
        looks.append(look)
    return looks


def chosen(name: str, values: Mapping[str, Any]) -> Recipe:
    """The recipe as the controls stand; raises BadKnob, UnknownName."""
    kind = BY_NAME.get(name)
    declared = {each.name: each for each in knobs(kind)} if kind else {}
    return recipe(
        name,
        **{
            key: from_control(declared[key], value)
            for key, value in values.items()
            if key in declared and not _fixed(declared[key])
        },
    )


def to_control(knob: Knob, value: Any) -> Any:
    """A knob's value in the unit that a person types."""
    return round(value * 255, 6) if knob.unit == "1/255" else value


def from_control(knob: Knob, value: Any) -> Any:
    """A typed value in the knob's own unit; raises BadKnob."""
    if knob.unit == "1/255" and isinstance(value, int | float) and not isinstance(value, bool):
        value = value / 255
    return knob.check(value)


def whole(name: str, value: Any) -> int:
    """A number that was typed, which must be whole; raises BadKnob."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise BadKnob(name.capitalize(), value, "a whole number")
    return int(value)


def plain(value: Any) -> str:
    """A number as a person writes it; whatever else was typed, as it is."""
    return f"{value:g}" if isinstance(value, int | float) else str(value)


@cache
def _slides(name: str) -> bool:
    """Whether a slider can stand on the defaults of all knobs of that name: a browser moves it to
    the nearest stop, and a default must not be changed by being shown."""
    return all(
        _fits(each)
        for kind in RECIPES
        for each in knobs(kind)
        if each.name == name and each.kind in ("integer", "number")
    )


def _fits(knob: Knob) -> bool:
    """Whether the default is a whole number of steps above the knob's low end."""
    stops = _stops(knob) if knob.kind in ("integer", "number") else 0
    return math.isclose(stops, round(stops), abs_tol=1e-6)


def _stops(knob: Knob) -> float:
    """How many steps above its low end the default stands; a half where there are no ends."""
    if knob.low is None or knob.high is None:
        return 0.5
    low, high = to_control(knob, knob.low), to_control(knob, knob.high)
    return (to_control(knob, knob.default) - low) / _step(knob, low, high)


def _fixed(knob: Knob) -> bool:
    """Whether the knob has a single value, as FGSM's number of steps."""
    return knob.low is not None and knob.low == knob.high


def _boundless(knob: Knob) -> bool:
    """Whether it is a budget that lets pixels change by any amount, unless it is asked for."""
    return knob.unit == "1/255" and knob.default == knob.high == 1


def _settings(knob: Knob, slides: bool) -> Shown:
    settings: Shown = {
        "label": knob.label + (" (n/255)" if knob.unit == "1/255" else ""),
        "info": knob.help,
        "value": to_control(knob, knob.default),
    }
    if knob.kind in ("choice", "text"):
        settings["choices"] = list(knob.choices)
        settings |= {"allow_custom_value": True} if knob.open else {}
    elif knob.kind != "flag" and not slides:
        settings["info"] = f"{knob.help} {knob.show(knob.low)} to {knob.show(knob.high)}."
    elif knob.kind != "flag":
        low, high = to_control(knob, knob.low), to_control(knob, knob.high)
        settings |= {"minimum": low, "maximum": high, "step": _step(knob, low, high)}
    return settings


def _step(knob: Knob, low: float, high: float) -> float:
    """Whole numbers where they are meant, else hundredths of the range's order of magnitude."""
    if knob.kind == "integer":
        return 1
    if knob.grain:
        return to_control(knob, knob.grain)
    return 10.0 ** math.floor(math.log10(max(high - low, 1e-9))) / 100


def _allowed(knob: Knob, value: Any) -> bool:
    try:
        from_control(knob, value)
    except BadKnob:
        return False
    return True
