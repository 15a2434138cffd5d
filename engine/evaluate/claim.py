"""A claim that a measurement can refute: one row, one verdict, one table for every paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from engine.evaluate.interval import Estimate

Unit = Literal["points", "%", "ratio", "columns", "correlation", "area", "GMACs", "count", "lead"]
Verdict = Literal["holds", "fails", "undecided", "reported"]


@dataclass(frozen=True)
class Row:
    """One comparison of a claim, with its 95 % interval.

    `expected` says what would hold; "reported" has no bar to pass. `pictures` is what it rests on.
    `p` is McNemar's where two attacks are compared; `budget` the gradients that the sides spend on
    a picture, where that is counted.
    """

    claim: str
    statement: str
    measured: Estimate
    unit: Unit
    expected: str
    verdict: Verdict
    pictures: int
    p: float | None = None
    budget: str = ""


def verdict(measured: Estimate, bar: float | None) -> Verdict:
    """Whether the whole interval lies above the bar, below it, or on both sides of it."""
    if bar is None:
        return "reported"
    if measured.low > bar:
        return "holds"
    return "fails" if measured.high < bar else "undecided"


def figure(measured: Estimate, unit: Unit) -> str:
    """A value with its interval in the digits of its unit: `−4.4 [−8.6, −1.0] points`."""
    value, low, high = (_number(v, unit) for v in (measured.value, measured.low, measured.high))
    span = f" [{low}, {high}]" if measured.low < measured.high else ""
    return f"{'×' * (unit == 'ratio')}{value}{span}{_AFTER[unit]}"


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a table; columns that no row fills are left out."""
    heads = {
        "claim": [row.claim for row in rows],
        "statement": [row.statement for row in rows],
        "measured (95 %)": [figure(row.measured, row.unit) for row in rows],
        "expected": [row.expected for row in rows],
        "verdict": [row.verdict for row in rows],
        "McNemar p": ["" if row.p is None else f"{row.p:.2g}" for row in rows],
        "pictures": [str(row.pictures) for row in rows],
        "gradients": [row.budget for row in rows],
    }
    return table({head: column for head, column in heads.items() if any(column)})


def table(columns: dict[str, list[str]]) -> str:
    """Columns as a Markdown table."""
    rows = zip(*columns.values(), strict=True)
    lines = [tuple(columns), ("---",) * len(columns), *rows]
    return "".join(f"| {' | '.join(each.replace('|', '/') for each in line)} |\n" for line in lines)


_AFTER: dict[Unit, str] = {
    "points": " points",
    "%": " %",
    "ratio": "",
    "columns": "",
    "correlation": "",
    "area": "",
    "GMACs": " GMACs",
    "count": "",
    "lead": "",
}


def _number(value: float, unit: Unit) -> str:
    match unit:
        case "points":
            text = f"{value:+.1f}"
            return text.replace("-", "−") if float(text) else text[1:]
        case "ratio":
            digits = 3 if abs(value) < 0.1 else 2 if abs(value) < 10 else 1
            return f"{value:.{digits}f}" if value else "0"
        case "correlation" | "area" | "GMACs":
            return f"{value:.3f}"
        case "count":
            return f"{value:.0f}"
        case _:
            return f"{value:.1f}"
