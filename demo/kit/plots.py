"""How every plotly chart looks: quiet, on no ground of its own, told apart without colour.

Plotly knows no theme of the page: text takes its colour from the style of `.lab-plot`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr
import plotly.graph_objects as go

from engine.evaluate.interval import Estimate

CLEAN, ATTACKED, NOISE = "#0072B2", "#D55E00", "#7F7F7F"
NOWHERE = "rgba(0,0,0,0)"
GRID = "rgba(127,127,127,0.22)"
ZERO = "rgba(127,127,127,0.8)"


def styled(figure: go.Figure, title: str, x: str, y: str, height: int, left: int = 64) -> go.Figure:
    """The figure with its title, what its axes say with their units, and the page's look."""
    figure.update_layout(
        template="none",
        title={"text": title, "x": 0, "xref": "container", "font": {"size": 14}, "y": 0.99},
        height=height,
        margin={"l": left, "r": 10, "t": 34 if title else 8, "b": 44},
        paper_bgcolor=NOWHERE,
        plot_bgcolor=NOWHERE,
        font={"family": "IBM Plex Sans, sans-serif", "size": 12},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        hoverlabel={"bgcolor": "#1b1f24", "font": {"color": "#ffffff", "size": 12}},
    )
    axis: dict[str, Any] = {"gridcolor": GRID, "zerolinecolor": ZERO, "exponentformat": "power"}
    figure.update_xaxes(title=x, **axis)
    figure.update_yaxes(title=y, **axis)
    return figure


def whiskers(of: Sequence[Estimate]) -> dict[str, Any]:
    """The intervals of a line's points, as its error bars."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [each.high - each.value for each in of],
        "arrayminus": [each.value - each.low for each in of],
        "thickness": 1.2,
        "width": 3,
    }


def plot(figure: go.Figure | None, name: str, **more: Any) -> gr.Plot:
    """A place for a figure; none is seen where there is none."""
    return gr.Plot(
        figure,
        visible=figure is not None,
        show_label=False,
        elem_id=name,
        elem_classes="lab-plot",
        **more,
    )
