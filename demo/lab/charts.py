"""The numbers behind the views, as a chart that can be zoomed and saved, and as a table.

A table is read from a result's frozen readings by indexing only; plotly draws it, the page shows
both. Tables that a model's readings do not allow are left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from engine.probe.catalog import PROBES
from engine.probe.probe import Probe
from engine.studio import Result

CLEAN, ATTACKED, NOISE = "#0072B2", "#D55E00", "#7F7F7F"
COLOURS = {"clean": CLEAN, "attacked": ATTACKED, "noise": NOISE}
DASHES = ("solid", "dash", "dot")
HEIGHT = 340
Number = float | None


@dataclass(frozen=True)
class Line:
    """One row of numbers over the table's places: its name, colour and dash."""

    name: str
    values: list[Number]
    colour: str = ATTACKED
    dash: str = "solid"


@dataclass(frozen=True)
class Table:
    """Lines over common places, such as steps or blocks, with what both axes say."""

    places: str
    at: list[int | str]
    unit: str
    lines: tuple[Line, ...]
    decades: bool = False

    @property
    def rows(self) -> list[list[Number | str]]:
        columns = [[_short(value) for value in line.values] for line in self.lines]
        return [[place, *values] for place, *values in zip(self.at, *columns, strict=True)]

    @property
    def headers(self) -> list[str]:
        return [self.places, *(line.name for line in self.lines)]


def tables(result: Result) -> dict[str, Table]:
    """Every table that this result allows, by title."""
    found = {probe.table.title: _of(probe, result) for probe in PROBES}
    inside = {title: table for title, table in found.items() if table is not None}
    return {"Loss and probabilities, by step": _steps(result), **inside}


def figure(table: Table) -> go.Figure:
    """The table as a plotly figure on a transparent ground."""
    drawn = go.Figure(
        [
            go.Scatter(
                x=table.at,
                y=line.values,
                name=line.name,
                mode="lines+markers",
                line={"color": line.colour, "dash": line.dash, "width": 2},
            )
            for line in table.lines
        ]
    )
    drawn.update_layout(
        template="none",
        height=HEIGHT,
        margin={"l": 64, "r": 8, "t": 8, "b": 44},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "IBM Plex Sans, sans-serif", "size": 13},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        hovermode="x unified",
    )
    drawn.update_xaxes(title=table.places, gridcolor="rgba(127,127,127,0.2)", dtick=None)
    drawn.update_yaxes(
        title=table.unit,
        gridcolor="rgba(127,127,127,0.2)",
        type="log" if table.decades else "linear",
        exponentformat="power",
    )
    return drawn


def _steps(result: Result) -> Table:
    label = Line(
        f"probability of {result.name(result.label)}",
        [float(each.probabilities[result.label]) for each in result.frames],
        CLEAN,
    )
    final = result.adversarial.top
    answer = Line(
        f"probability of {result.name(final)}",
        [float(each.probabilities[final]) for each in result.frames],
    )
    loss = Line("loss", [each.loss for each in result.frames], NOISE, "dot")
    lines = (label, loss) if final == result.label else (label, answer, loss)
    return Table("step", [each.step for each in result.frames], "probability, loss", lines)


def _of(probe: Probe[Any], result: Result) -> Table | None:
    """A probe's numbers, clean, attacked and noise on the same axes."""
    asked = probe.table
    read = {
        who: probe.of(frame.readings)
        for who, frame in (
            ("clean", result.clean),
            ("attacked", result.adversarial),
            ("noise", result.noise),
        )
    }
    if read["clean"] is None or read["attacked"] is None:
        return None
    numbers = {who: asked.lines(each) for who, each in read.items() if each is not None}
    lines = [
        Line(
            f"{part}, {who}" if part else who,
            _finite(numbers[who][part]),
            COLOURS[who],
            DASHES[index] if part else "dot" if who == "noise" else "solid",
        )
        for index, part in enumerate(numbers["clean"])
        for who in numbers
        if asked.clean or who != "clean"
    ]
    places = asked.places(read["clean"]) if asked.places else range(1, len(lines[0].values) + 1)
    return Table(asked.place, list(places), asked.unit, tuple(lines), asked.decades)


def _short(value: Number) -> Number:
    return None if value is None else float(f"{value:.4g}")


def _finite(values: Sequence[float]) -> list[Number]:
    return [value if math.isfinite(value) else None for value in values]
