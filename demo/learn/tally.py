"""Predictions of a class: which are answers to the question at all, and how many are of each kind."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Collection
from functools import partial
from html import unescape
from itertools import pairwise
from typing import Any

from demo.learn.lesson import Ask, Choose, Estimate, Mark
from demo.learn.words import TERM
from engine.core.errors import EngineError

MOST_BARS = 12
BINS = 10
TAG = re.compile(r"<[^>]*>")
Value = str | float | tuple[int, ...]


class NoAnswer(EngineError):
    """What was sent is no answer to the question of that step."""


def counted(ask: Ask | None, value: Any) -> Value:
    """The prediction as it is counted; raises NoAnswer where it is none."""
    match ask, value:
        case Choose(), str() if value in dict(ask.options):
            return value
        case Estimate(), int() | float() if _between(ask.low, value, ask.high):
            return float(value)
        case Mark(), list() if 0 < len(value) <= ask.count and _cells(ask, value):
            return tuple(sorted(value))
        case _:
            raise NoAnswer("That is no answer to the question of this step.")


def _between(low: float, value: float, high: float) -> bool:
    return not isinstance(value, bool) and math.isfinite(value) and low <= value <= high


def _cells(ask: Mark, value: list[Any]) -> bool:
    rows, columns = ask.grid
    whole = all(type(each) is int and 0 <= each < rows * columns for each in value)
    return whole and len(set(value)) == len(value)


def histogram(ask: Ask, votes: Collection[Value], own: Value | None = None) -> dict[str, Any]:
    """How many predict what: bars by option or by range of the scale, cells of the grid; and where `own` is."""
    match ask:
        case Mark():
            marked = Counter(cell for each in votes for cell in _marks(each))
            cells = [marked[cell] for cell in range(ask.grid[0] * ask.grid[1])]
            return {"kind": "grid", "grid": ask.grid, "counts": cells, "own": list(_marks(own))}
        case Choose():
            keys = [key for key, _ in ask.options]
            bars = [_plain(label) for _, label in ask.options]
            return {"kind": "options", "keys": keys} | _bars(bars, votes, own, keys.index)
        case Estimate():
            half = ask.step / 2 if _stops(ask) <= MOST_BARS else 0
            drawn = {"kind": "scale", "scale": (ask.low - half, ask.high + half)}
            return drawn | _bars(_ranges(ask), votes, own, partial(_bin, ask))


def _bars(
    bars: list[str], votes: Collection[Value], own: Value | None, place: Callable[[Any], int]
) -> dict[str, Any]:
    many = Counter(map(place, votes))
    counts = [many[each] for each in range(len(bars))]
    return {"bars": bars, "counts": counts, "own": None if own is None else place(own)}


def _plain(html: str) -> str:
    """Words without their marks: a bar explains no term."""
    said = TERM.sub(lambda found: found[2] or found[1], html)
    return unescape(TAG.sub("", said))


def _marks(value: Value | None) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else ()


def _stops(ask: Estimate) -> int:
    return round((ask.high - ask.low) / ask.step) + 1


def _bin(ask: Estimate, value: Any) -> int:
    """Which bar a number is in: one a stop where they are few, else one of equal ranges."""
    if _stops(ask) <= MOST_BARS:
        return round((value - ask.low) / ask.step)
    return min(int((value - ask.low) / (ask.high - ask.low) * BINS), BINS - 1)


def _ranges(ask: Estimate) -> list[str]:
    """What the bars are of; a range begins where the last one ends."""
    unit = f" {ask.unit}".rstrip()
    if _stops(ask) <= MOST_BARS:
        return [f"{ask.low + place * ask.step:.4g}{unit}" for place in range(_stops(ask))]
    width = (ask.high - ask.low) / BINS
    ends = [f"{ask.low + place * width:.4g}" for place in range(BINS + 1)]
    return [f"{low}–{high}{unit}" for low, high in pairwise(ends)]
