"""What stands on the model: the alterations that are judged, with their knobs, and what the attack is
crafted on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from demo.kit import controls
from demo.kit.store import Values
from engine.alter.alteration import Alteration, Stack
from engine.alter.bfloat16 import BFloat16, is_fast
from engine.alter.catalog import ALTERATIONS, BY_NAME, parse_stack
from engine.alter.float64 import Float64
from engine.alter.scaled import Scaled
from engine.arguments import BARE
from engine.core.errors import UnknownName
from engine.core.knobs import Knob, knobs
from engine.core.placement import device

STANDING = tuple(made for made in (kind() for kind in ALTERATIONS) if made.outline is made)
"""The alterations that a model can have by itself, without being fitted to a picture."""
TITLES = {each.name: each.title for each in STANDING}
JUDGED, COARSE, FINE, AAS = "judged", "judged in bfloat16", "judged in float64", "judged with AAS"
ON_TOP = {COARSE: BFloat16.name, FINE: Float64.name, AAS: Scaled.name}
CRAFTED = (
    ("What is judged", JUDGED),
    ("What is judged, in bfloat16: faster where the hardware has it", COARSE),
    ("What is judged, in float64: nothing is lost to rounding", FINE),
    ("What is judged, with its attention scaled (AAS)", AAS),
    ("The model as it is", BARE),
    *((f"The model with {each.title} alone", each.name) for each in STANDING),
)
KNOBS: dict[str, tuple[type[Alteration], Knob]] = {
    f"alter-{kind.name}-{each.name}": (kind, each) for kind in ALTERATIONS for each in knobs(kind)
}
"""The knobs of all alterations, by the names of their controls."""


def chooser() -> gr.Dropdown:
    """The compact control: nothing is chosen at first."""
    return gr.Dropdown(
        [(title, name) for name, title in TITLES.items()],
        value=[],
        multiselect=True,
        label="Altered by",
        interactive=True,
        elem_id="alter",
    )


def settings(main: bool) -> dict[str, Any]:
    """The controls of the alterations' main knobs, or of the others: none is seen at first."""
    return {
        name: controls.control(each, name, visible=False, label=_labelled(kind, each))
        for name, (kind, each) in KNOBS.items()
        if each.main == main
    }


def crafting() -> gr.Dropdown:
    """What the attack is crafted on: one of the usual, or any stack as it is typed."""
    return gr.Dropdown(
        list(CRAFTED),
        value=COARSE if is_fast(device()) else JUDGED,
        label="Craft on",
        info="Or type a stack, as ats|int8:threshold=4. What is shown is measured on what is judged.",
        allow_custom_value=True,
        interactive=True,
        elem_id="craft-on",
    )


def looks(chosen: Any, craft_on: Any) -> dict[str, dict[str, Any]]:
    """Which of the knobs' controls are seen with these alterations, crafting on that."""
    named = {*(chosen or ()), ON_TOP.get(str(craft_on), str(craft_on))}
    return {name: {"visible": kind.name in named} for name, (kind, _) in KNOBS.items()}


def judged(values: Values) -> Stack:
    """The stack that the controls stand for; raises UnknownName, BadKnob."""
    return tuple(_made(str(name), values) for name in values["alter"] or ())


def crafted(values: Values) -> Stack | None:
    """The stack that the attack is crafted on, None for what is judged; raises EngineError."""
    asked, whole = str(values["craft_on"] or JUDGED), judged(values)
    on_top = ON_TOP.get(asked)
    if asked == JUDGED or on_top in [each.name for each in whole]:
        return None
    if on_top:
        return (*whole, _made(on_top, values))
    if asked == BARE:
        return ()
    return (_made(asked, values),) if asked in BY_NAME else parse_stack(asked)


def in_words(stack: Sequence[Alteration]) -> str:
    """A stack as it is said: titles, with the knobs that are not at their defaults."""
    return ", ".join(_said(each) for each in stack)


def _made(name: str, values: Values) -> Alteration:
    if name not in BY_NAME:
        raise UnknownName("alteration", name, tuple(BY_NAME))
    own = ((key, each) for key, (kind, each) in KNOBS.items() if kind.name == name)
    chosen = {each.name: controls.from_control(each, values[key]) for key, each in own}
    return BY_NAME[name](**chosen)


def _said(each: Alteration) -> str:
    told = [
        f"{knob.label.lower()} {knob.show(getattr(each, knob.name))}"
        for knob in knobs(each)
        if getattr(each, knob.name) != knob.default
    ]
    return each.title + f" ({', '.join(told)})" * bool(told)


def _labelled(kind: type[Alteration], each: Knob) -> str:
    return f"{kind.title}: {each.label.lower()}"
