"""What a page says beside its linked views: words as HTML, and a chart where there is one to draw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from typing import Any, TypeVar

import gradio as gr
import plotly.graph_objects as go

from demo.kit.plots import ATTACKED, CLEAN, NOISE, styled
from engine.alter.catalog import ON
from engine.core.errors import EngineError
from engine.evaluate.interval import Estimate, Rate
from engine.evaluate.study import kept

Message = dict[str, Any]
Section = tuple[str, go.Figure | None]
Found = TypeVar("Found")
PLAIN = "#8b949e"
"""The model that nothing was done to."""


@dataclass(frozen=True)
class Timed:
    """What was timed: its key among the times of a message, its words, its colour."""

    name: str
    words: str
    colour: str


def times(
    found: Message, timed: Sequence[Timed], ratios: Sequence[tuple[str, str, str]], how: str
) -> Section:
    """What a pass takes, and where that was measured; `ratios` are (words, one, over the other)."""
    title = (
        "What a pass took where this report was made: another day, perhaps another machine"
        if found.get("earlier")
        else "What a pass takes on this machine: measured, one picture at a time"
    )
    spent, machine = found["times"], found["machine"]
    if not spent:
        return said(title, "The times follow when the run has come to its end."), None
    busy = machine["others"]
    over = "; ".join(
        f"{words}: ×{spent[one]['median'] / spent[other]['median']:.2f}"
        for words, one, other in ratios
    )
    words = (
        f"<p>{over}.</p>"
        f'<p class="lab-muted">Median and quartiles of {plural(spent["clean"]["rounds"], "round")}, '
        f"the {NUMBERS[len(timed)]} taken in turn, on {escape(machine['device'])} of "
        f"{escape(machine['processor'])} with {plural(machine['cores'], 'core')}, batch of one, "
        f"eager PyTorch; {how} "
        + (
            f"Other programs kept {busy:.1f} of the cores busy meanwhile. "
            if busy is not None
            else ""
        )
        + ("Press Run to measure the machine that serves this page. " * bool(found.get("earlier")))
        + "GPU times of the paper cannot be had from a CPU." * machine["device"].startswith("CPU")
        + "</p>"
    )
    return head(title) + words, _bars(spent, timed)


NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five"}


def _bars(spent: dict[str, dict[str, float]], timed: Sequence[Timed]) -> go.Figure:
    of = [spent[each.name] for each in timed]
    medians = [each["median"] for each in of]
    drawn = go.Bar(
        x=medians,
        y=[each.words for each in timed],
        orientation="h",
        marker={"color": [each.colour for each in timed]},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [each["high"] - each["median"] for each in of],
            "arrayminus": [each["median"] - each["low"] for each in of],
            "color": NOISE,
            "thickness": 1.5,
        },
        customdata=[[each["low"], each["high"]] for each in of],
        hovertemplate="%{y}: %{x:.1f} ms, quartiles %{customdata[0]:.1f} to %{customdata[1]:.1f}"
        "<extra></extra>",
    )
    figure = go.Figure(drawn)
    for value, each in zip(medians, timed, strict=True):
        place = {"x": 1, "xref": "paper", "xanchor": "left", "xshift": 8, "showarrow": False}
        figure.add_annotation(text=f"{value:.1f} ms", y=each.words, **place)
    figure.update_yaxes(autorange="reversed")
    figure = styled(figure, "", "milliseconds a pass", "", 210, left=96)
    return figure.update_layout(showlegend=False, margin={"r": 72})


@dataclass(frozen=True)
class Roc:
    """A detector's curve, and the limit in use: its name, clean flagged and attacked caught (0 to 1)."""

    false_alarms: Sequence[float]
    hits: Sequence[float]
    used: str
    flagged: float
    caught: float


def roc(by: Roc) -> go.Figure:
    """The curve, chance, and the limit in use."""
    curve = go.Scatter(
        x=by.false_alarms,
        y=by.hits,
        name="by count",
        mode="lines",
        line={"color": ATTACKED, "width": 2},
        hovertemplate="%{x:.0%} of clean flagged, %{y:.0%} of attacked caught<extra></extra>",
    )
    chance = go.Scatter(
        x=[0, 1],
        y=[0, 1],
        name="by chance",
        mode="lines",
        line={"color": NOISE, "dash": "dash", "width": 1.5},
        hoverinfo="skip",
    )
    used = go.Scatter(
        x=[by.flagged],
        y=[by.caught],
        name=by.used,
        mode="markers",
        marker={"color": CLEAN, "size": 10, "symbol": "diamond"},
        hovertemplate="%{x:.0%} of clean flagged, %{y:.0%} of attacked caught<extra></extra>",
    )
    figure = go.Figure([chance, curve, used])
    x, y = "share of clean pictures flagged", "share of attacked pictures caught"
    figure = styled(figure, "", x, y, 320)
    figure.update_xaxes(range=[-0.02, 1.02])
    figure.update_yaxes(range=[-0.02, 1.04])
    return figure


def area(of: Estimate, pictures: int) -> str:
    """The area under a detector's curve, in words."""
    value = f"{of.value:.3f}"
    if of.high - of.low < 1e-9:
        return f"{value}: each of {pictures} attacked pictures lies above each clean one"
    return f"{value} [{of.low:.3f}, {of.high:.3f}]"


def updates(parts: Sequence[Any], values: Sequence[Any]) -> list[Any]:
    """What the page's components become; a chart is seen where there is one."""
    return [
        gr.update(value=each, visible=each is not None) if isinstance(part, gr.Plot) else each
        for part, each in zip(parts, values, strict=True)
    ]


def percent(share: float, digits: int = 0) -> str:
    """A share in %; small ones keep a digit, and what is not 0 does not look like it."""
    value = 100 * share
    if 0 < value < 0.1 and digits < 2:
        return "< 0.1 %"
    return f"{value:.{1 if 0 < value < 10 and not digits else digits}f} %"


def span(of: Estimate) -> str:
    """A figure of a table, its interval below it where it has a width."""
    interval = f" <small>{of.low:.1f} to {of.high:.1f}</small>" * (of.high - of.low >= 1e-9)
    return f"{of.value:.1f}{interval}"


def price(rate: Rate) -> str:
    """Where all pictures agree an interval from resampling has no width: the exact bound is said."""
    if rate.agreed:
        return f"0 of {rate.pictures} <small>at most {rate.high:.0f} points</small>"
    return span(rate)


def rated(of: Estimate) -> str:
    """A rate in %, its interval beside it."""
    return f"{of.value:.0f} % [{of.low:.0f}, {of.high:.0f}]"


def plural(count: int, word: str) -> str:
    """`1 round`, `2 rounds`."""
    return f"{count} {word}{'s' * (count != 1)}"


def shipped(name: str, kind: type[Found]) -> Callable[[str], Found | str | None]:
    """What the study of that name that ships for a model found, whatever stands on the model; None where
    there is none, or the sentence why it cannot be read."""

    @cache
    def study(model: str) -> Found | str | None:
        try:
            found = kept(name, model.partition(ON)[0], kind)
        except EngineError as problem:
            return problem.sentence
        return found and found.findings

    return study


def head(title: str) -> str:
    """A section's title."""
    return f"<h2>{title}</h2>"


def said(title: str, words: str) -> str:
    """A section that has but words."""
    return f'{head(title)}<p class="lab-muted">{words}</p>'


def table(title: str, columns: Sequence[str], rows: Sequence[str]) -> str:
    """A table that scrolls by itself where it is too wide."""
    cells = "".join(f'<th scope="col">{each}</th>' if each else "<td></td>" for each in columns)
    return (
        f'<div class="report-scroll" tabindex="0" role="region" aria-label="{title}"><table>'
        f"<thead><tr>{cells}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def row(name: str, cells: Sequence[str]) -> str:
    """A row of a table; the name is escaped, the cells are HTML."""
    return f'<tr><th scope="row">{escape(name)}</th>{"".join(f"<td>{each}</td>" for each in cells)}</tr>'
