"""Knobs: the declared, checked parameters from which the page, the CLI and the tests are made."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from engine.core.errors import BadKnob, UnknownName

Unit = Literal["", "1/255"]
Made = TypeVar("Made")
NAME = r"(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
"""What a text knob takes: a name that is no path, and that stands in any spelling without a quote."""


@dataclass(frozen=True)
class Knob:
    """One parameter: its range in its own unit, and the sentence that explains it.

    `unit` "1/255" marks a pixel distance: the value is stored in [0, 1], shown and typed in 255ths.
    `grain` is the smallest value other than 0 that means anything, and the pace of a slider.
    Where it is `open`, any other name is as good as its choices.
    """

    name: str
    label: str
    default: Any
    help: str
    low: float | None = None
    high: float | None = None
    unit: Unit = ""
    choices: tuple[str, ...] = ()
    main: bool = False
    grain: float = 0.0
    open: bool = False

    @property
    def kind(self) -> Literal["flag", "choice", "text", "integer", "number"]:
        if isinstance(self.default, bool):
            return "flag"
        if self.choices:
            return "text" if self.open else "choice"
        return "integer" if isinstance(self.default, int) else "number"

    @property
    def allowed(self) -> str:
        """The range in words, in the unit a person types."""
        if self.kind == "flag":
            return "true or false"
        if self.kind == "choice":
            return "one of " + ", ".join(self.choices)
        if self.kind == "text":
            return ", ".join(self.choices) + ", or a name of letters, digits and . _ -"
        low, high = self.show(self.low or self.grain or self.low), self.show(self.high)
        zero = "0, or " if self.grain and self.low == 0 else ""
        return f"{zero}a {'whole ' if self.kind == 'integer' else ''}number from {low} to {high}"

    def show(self, value: Any) -> str:
        if self.unit == "1/255" and isinstance(value, int | float):
            return f"{value * 255:g}/255"
        return f"{value:g}" if isinstance(value, float) else str(value)

    def check(self, value: Any) -> Any:
        """The value in its own type; raises BadKnob when it is not allowed."""
        if self.kind == "flag":
            if isinstance(value, bool):
                return value
        elif self.kind == "choice":
            if value in self.choices:
                return value
        elif self.kind == "text":
            if isinstance(value, str) and re.fullmatch(NAME, value):
                return value
        elif isinstance(value, int | float) and not isinstance(value, bool):
            low, high = self.low, self.high
            inside = (
                math.isfinite(value)
                and (low is None or value >= low - 1e-12)
                and (high is None or value <= high + 1e-12)
                and not 0 < value < self.grain - 1e-12
            )
            if inside and (self.kind == "number" or float(value).is_integer()):
                return int(value) if self.kind == "integer" else float(value)
        raise BadKnob(self.label, self.show(value), self.allowed)

    def word(self, value: Any) -> str:
        """The shortest word that `parse` reads back as exactly this value: `4/255`, `0.5`, `true`."""
        if not isinstance(value, float):
            return str(value).lower() if isinstance(value, bool) else str(value)
        words = (self.show(value), *([f"{value * 255!r}/255"] if self.unit else []), repr(value))
        return next(word for word in words if self._reads(word) == value)

    def _reads(self, word: str) -> Any:
        try:
            return self.parse(word)
        except BadKnob:  # rounded to a value just outside the range
            return None

    def parse(self, text: str) -> Any:
        """A typed word as a value: `8/255`, `0.031`, `10`, `true`, or one of the choices."""
        word = text.strip()
        try:
            if self.kind == "flag":
                return {"true": True, "1": True, "false": False, "0": False}[word.lower()]
            if self.kind in ("choice", "text"):
                return self.check(word)
            top, _, bottom = word.partition("/")
            return self.check(float(top) / float(bottom) if bottom else float(top))
        except (ValueError, KeyError, ZeroDivisionError):
            raise BadKnob(self.label, f"“{word}”", self.allowed) from None


def knob(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    unit: Unit = "",
    choices: tuple[str, ...] = (),
    label: str = "",
    main: bool = False,
    grain: float = 0.0,
    open: bool = False,
) -> Any:
    """A dataclass field that is a knob; `main` ones stay visible on the page, the rest are folded."""
    made = Knob("", label, default, help, low, high, unit, choices, main, grain, open)
    return dataclasses.field(default=default, metadata={"knob": made})


def knob_of(owner: type, name: str, **changed: Any) -> Any:
    """A field with the knob of another dataclass, some of what that declares `changed`."""
    made = next(each for each in knobs(owner) if each.name == name)
    made = dataclasses.replace(made, **changed)
    return dataclasses.field(default=made.default, metadata={"knob": made})


def knobs(owner: object) -> tuple[Knob, ...]:
    """The knobs a dataclass (or an instance of it) declares, in order."""
    found: list[Knob] = []
    for field in dataclasses.fields(owner):  # pyright: ignore[reportArgumentType]
        declared = field.metadata.get("knob")
        if isinstance(declared, Knob):
            label = declared.label or field.name.replace("_", " ").capitalize()
            found.append(dataclasses.replace(declared, name=field.name, label=label))
    return tuple(found)


def words(owner: object) -> dict[str, str]:
    """Every knob of a value as the word a person would type; `typed` makes of them the very same."""
    return {each.name: each.word(getattr(owner, each.name)) for each in knobs(owner)}


def typed(kind: type[Made], name: str, settings: Mapping[str, str]) -> Made:
    """The value of that kind with knobs as typed words, such as `eps=8/255`; `name` is for errors.

    Raises UnknownName or BadKnob.
    """
    declared = {each.name: each for each in knobs(kind)}
    for key in settings:
        if key not in declared:
            raise UnknownName(f"knob of {name}", key, tuple(sorted(declared)))
    return kind(**{key: declared[key].parse(word) for key, word in settings.items()})


class Knobbed:
    """Base of frozen dataclasses made of knobs: every value is checked when the value is made."""

    def __post_init__(self) -> None:
        for each in knobs(self):
            object.__setattr__(self, each.name, each.check(getattr(self, each.name)))
