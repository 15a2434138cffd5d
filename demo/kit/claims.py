"""A comparison of a claim as a page tells it: the figure in words, and the verdict by the rows' own rule."""

from __future__ import annotations

from typing import Any

from engine.evaluate.claim import Row, Verdict, figure

VERDICTS: dict[Verdict, str] = {
    "holds": "holds",
    "fails": "does not hold",
    "undecided": "open",
    "reported": "no bar",
}
"""What a verdict is called on a page."""
SEVERAL = VERDICTS | {"holds": "hold", "fails": "do not hold"}
"""The same of several."""
RULE = (
    "A comparison holds where its whole 95 % interval lies beyond the bar, does not hold where all of it "
    "lies short of the bar, and is open where the bar lies inside: then there were too few pictures to tell."
)
FEW = 30
"""Below so many pictures intervals are wide, and a page says so."""


def line(row: Row) -> dict[str, Any]:
    """A row as plain data for the scripts, without what it does not have."""
    told = {
        "statement": row.statement,
        "verdict": row.verdict,
        "measured": figure(row.measured, row.unit),
        "expected": "" if row.expected == "reported" else row.expected,
        "pictures": row.pictures,
        "p": "" if row.p is None else f"{row.p:.2g}",
        "gradients": row.budget,
    }
    return {name: value for name, value in told.items() if value != ""}
