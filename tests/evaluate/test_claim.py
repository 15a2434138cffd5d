"""A claim's row: the verdict needs the whole interval, and the table says what the row says."""

from __future__ import annotations

import math

import pytest

from engine.evaluate.claim import Row, Unit, figure, markdown, verdict
from engine.evaluate.interval import Estimate


@pytest.mark.parametrize(
    ("low", "high", "bar", "said"),
    [
        (0.1, 2, 0, "holds"),
        (-2, -0.1, 0, "fails"),
        (-1, 1, 0, "undecided"),
        (0, 1, 0, "undecided"),
        (1.1, 3, 1, "holds"),
        (0.1, 0.9, 1, "fails"),
        (0.9, 3, None, "reported"),
    ],
)
def test_a_verdict_needs_the_whole_interval(
    low: float, high: float, bar: float | None, said: str
) -> None:
    assert verdict(Estimate((low + high) / 2, low, high), bar) == said
    assert verdict(Estimate(math.nan, -math.inf, math.inf), 0) == "undecided"


@pytest.mark.parametrize(
    ("measured", "unit", "words"),
    [
        (Estimate(4.44, 1.04, 8.55), "points", "+4.4 [+1.0, +8.6] points"),
        (Estimate(-0.04, -3, 3), "points", "0.0 [−3.0, +3.0] points"),
        (Estimate(0.324, 0.31, 0.34), "ratio", "×0.32 [0.31, 0.34]"),
        (Estimate(27.11, 24.5, 30), "ratio", "×27.1 [24.5, 30.0]"),
        (Estimate(100, 91.06, 100), "%", "100.0 [91.1, 100.0] %"),
        (Estimate(0.0118, 0.0115, 0.0123), "ratio", "×0.012 [0.011, 0.012]"),
        (Estimate(0, 0, 0), "ratio", "×0"),
        (Estimate(1, 1, 1), "area", "1.000"),
    ],
)
def test_a_figure_has_the_digits_of_its_unit(measured: Estimate, unit: Unit, words: str) -> None:
    assert figure(measured, unit) == words


def test_the_table_leaves_out_what_no_row_has() -> None:
    row = Row("C1", "a > b", Estimate(1, 0.5, 2), "points", "above 0", "holds", 12)
    assert markdown([row]).splitlines() == [
        "| claim | statement | measured (95 %) | expected | verdict | pictures |",
        "| --- | --- | --- | --- | --- | --- |",
        "| C1 | a > b | +1.0 [+0.5, +2.0] points | above 0 | holds | 12 |",
    ]
    compared = Row("C2", "c", Estimate(1, 1, 1), "ratio", "", "reported", 9, 0.0123, "1 : 21")
    assert markdown([row, compared]).splitlines()[2:] == [
        "| C1 | a > b | +1.0 [+0.5, +2.0] points | above 0 | holds |  | 12 |  |",
        "| C2 | c | ×1.00 |  | reported | 0.012 | 9 | 1 : 21 |",
    ]
