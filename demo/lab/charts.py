"""The numbers behind the views, as a chart that can be zoomed and saved, and as a table.

A table is read from a result's frozen readings by indexing only; plotly draws it, the page shows
both. Tables that a model's readings do not allow are left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import plotly.graph_objects as go

from engine.probe.gradients import COMPONENTS
from engine.studio import Frame, Result

CLEAN, ATTACKED, NOISE = "#0072B2", "#D55E00", "#7F7F7F"
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
    at: list[int] | list[str]
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
    found = {title: read(result) for title, read in READERS.items()}
    return {title: table for title, table in found.items() if table is not None}


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


def _gradients(result: Result) -> Table | None:
    clean, attacked = result.clean.gradients, result.adversarial.gradients
    if clean is None or attacked is None:
        return None
    lines = [
        Line(f"{part}, {who}", _finite(read.variance[:, column].tolist()), colour, dash)
        for column, (part, dash) in enumerate(
            zip(COMPONENTS, ("solid", "dash", "dot"), strict=True)
        )
        for who, read, colour in (("clean", clean, CLEAN), ("attacked", attacked, ATTACKED))
    ]
    blocks = _blocks(len(clean.variance))
    return Table("block", blocks, "variance of the gradient", tuple(lines), decades=True)


def _divergence(result: Result) -> Table | None:
    return _by_block(
        result,
        "1 - cosine to the clean picture",
        lambda frame: frame.divergence and frame.divergence.cosine.tolist(),
        clean=False,
    )


def _entropy(result: Result) -> Table | None:
    return _by_block(
        result,
        "entropy of attention, bits",
        lambda frame: frame.attention and frame.attention.entropy().nanmean(1).tolist(),
    )


def _gaps(result: Result) -> Table | None:
    return _by_block(
        result,
        "median lead of the largest score",
        lambda frame: frame.gaps and frame.gaps.quantiles[:, 2].tolist(),
    )


def _kept(result: Result) -> Table | None:
    clean = result.clean.tokens
    if clean is None:
        return None
    table = _by_block(result, "tokens kept", lambda f: f.tokens and f.tokens.kept.tolist())
    return table and Table("block", [b + 1 for b in clean.blocks], table.unit, table.lines)


def _outliers(result: Result) -> Table | None:
    clean = result.clean.outliers
    if clean is None:
        return None
    table = _by_block(
        result,
        "largest input",
        lambda frame: frame.outliers and [float(peak.max()) for peak in frame.outliers.columns],
    )
    layers = [f"{block + 1} {slot}" for block, slot in clean.layers]
    return table and Table("layer", layers, table.unit, table.lines)


READERS: dict[str, Callable[[Result], Table | None]] = {
    "Loss and probabilities, by step": _steps,
    "Gradient variance, by block": _gradients,
    "Distance from clean, by block": _divergence,
    "Attention entropy, by block": _entropy,
    "Score gaps, by block": _gaps,
    "Tokens kept, by block": _kept,
    "Largest inputs, by layer": _outliers,
}


def _by_block(
    result: Result,
    unit: str,
    read: Callable[[Frame], list[float] | None],
    clean: bool = True,
) -> Table | None:
    """Clean, attacked and noise on the same axes."""
    who = (
        ("attacked", result.adversarial, ATTACKED, "solid"),
        ("noise", result.noise, NOISE, "dot"),
    )
    if clean:
        who = (("clean", result.clean, CLEAN, "solid"), *who)
    lines: list[Line] = []
    for name, frame, colour, dash in who:
        values = read(frame)
        if values is None:
            return None
        lines.append(Line(name, _finite(values), colour, dash))
    return Table("block", _blocks(len(lines[0].values)), unit, tuple(lines))


def _blocks(count: int) -> list[int]:
    return list(range(1, count + 1))


def _short(value: Number) -> Number:
    return None if value is None else float(f"{value:.4g}")


def _finite(values: list[float]) -> list[Number]:
    return [value if math.isfinite(value) else None for value in values]
