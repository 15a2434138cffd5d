"""A page's controls as an address that anybody can open: `?c=` holds what differs from how they stand
at first. A picture of one's own is never in it: the link says that there was one."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl

import gradio as gr

from demo.kit import picture
from demo.kit.store import Values

MOST_LETTERS = 6000
MOST_TEXT = 300
OWN = "own"
UPLOADS = ("source", "files")
"""Controls that may hold what a visitor brought."""


@dataclass(frozen=True)
class Asked:
    """What an address asks for: the controls it changes, whether its picture was somebody's own, and
    whether a run of them was looked at. Of a damaged one nothing is left, and it is not `whole`."""

    changes: Values
    own: bool = False
    run: bool = False
    whole: bool = True
    code: str = ""

    @classmethod
    def of(cls, wish: Mapping[str, Any]) -> Asked:
        """What a script of the page wishes: `{"changes"}`, or a link's `{"code"}`."""
        return read(str(wish["code"])) if "code" in wish else cls(dict(wish.get("changes", {})))


def asked(search: str) -> Asked | None:
    """What the query of an address asks for, `c` being what was spelt and `r` that it was run."""
    query = dict(parse_qsl(search.removeprefix("?")))
    if "c" not in query and "r" not in query:
        return None
    return replace(read(query.get("c", "")), run="r" in query)


def spell(values: Values, first: Values) -> str:
    """How controls stand, as short as may be; empty where they stand as at `first`."""
    told = {n: _told(value) for n, value in values.items() if value != first.get(n)}
    brought = [name for name in UPLOADS if name in told and not _public(name, told[name])]
    for name in brought:
        del told[name]
    if brought:
        told[OWN] = True
    if not told:
        return ""
    content = json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode()
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _told(value: Any) -> Any:
    """As a browser says it: 16, where Python has 16.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def read(code: str) -> Asked:
    """What was spelt."""
    if not code:
        return Asked({})
    try:
        if len(code) > MOST_LETTERS:
            raise ValueError
        told = json.loads(base64.urlsafe_b64decode(code + "=" * (-len(code) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return Asked({}, whole=False, code=code)
    if not isinstance(told, dict):
        return Asked({}, whole=False, code=code)
    own = bool(told.pop(OWN, False))
    return Asked(told, own, code=code)


def fits(name: str, control: Any, look: Mapping[str, Any], value: Any) -> bool:
    """Whether a control, as it looks then, can stand at a value that came from outside."""
    if name in UPLOADS:
        return _public(name, value)
    if isinstance(control, gr.Checkbox):
        return isinstance(value, bool)
    if isinstance(control, gr.Slider | gr.Number):
        return _between(value, look, control)
    if isinstance(control, gr.Dropdown | gr.Radio | gr.CheckboxGroup):
        return _offered(value, look, control)
    return isinstance(value, str) and len(value) <= MOST_TEXT


def _public(name: str, value: Any) -> bool:
    """Whether it is nobody's own: a sample, or nothing at all."""
    return not value or (name == "source" and picture.sample(str(value)) is not None)


def _between(value: Any, look: Mapping[str, Any], control: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value is None and isinstance(control, gr.Number)
    low, high = (look.get(end, getattr(control, end)) for end in ("minimum", "maximum"))
    return (low is None or value >= low) and (high is None or value <= high)


def _offered(value: Any, look: Mapping[str, Any], control: Any) -> bool:
    several = isinstance(control, gr.CheckboxGroup) or bool(getattr(control, "multiselect", False))
    if several != isinstance(value, list):
        return value is None
    chosen = value if several else [value]
    if getattr(control, "allow_custom_value", False):
        return all(isinstance(each, str) and len(each) <= MOST_TEXT for each in chosen)
    choices = look.get("choices", control.choices) or ()
    offered = [each[1] if isinstance(each, tuple | list) else each for each in choices]
    return all(each in offered for each in chosen) or value is None
