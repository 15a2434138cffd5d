"""What the masked room says beside its linked views: on many pictures, what is left of a model whose
scores are multiplied, by the gradient that the attack follows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from demo.kit.plots import ATTACKED, CLEAN, styled, whiskers
from demo.kit.sections import Message, Section, head, said, shipped
from engine.papers.aas import saturation
from engine.papers.aas.findings import Point, Saturation

BEST = "best"
LINES = {
    "clean": ("clean pictures", CLEAN, "solid", "circle"),
    "base": ("its own gradient", ATTACKED, "solid", "circle"),
    "float64": ("its own, in float64", ATTACKED, "dash", "square-open"),
    "bfloat16": ("its own, in bfloat16", ATTACKED, "dot", "triangle-up-open"),
    "undone": ("at factor 1/c", "#009E73", "solid", "diamond"),
    "thrice": ("at factor 3/c", "#009E73", "dash", "diamond-open"),
    "aas": ("AAS: learned factors", "#CC79A7", "solid", "circle"),
    BEST: ("one factor for all, the best of three", "#56B4E9", "dash", "square"),
}
"""By what an attack was crafted: words, colour, dash and mark. Precisions share a colour: where they
lie on one line, it is not rounding that masks."""
TITLE = "Over many pictures: what is left, by the gradient that the attack follows"
study = shipped(saturation.NAME, Saturation)
COMMAND = "python -m engine saturate FOLDER --model {0} --out assets/studies/{1}_{0}.json"


def sections(found: Message | None) -> list[Any]:
    """The words and the chart of the study; empty where nothing is known."""
    return ["", None] if found is None else [*curve(found)]


def curve(found: Message) -> Section:
    """Accuracy under attack against c, by what the attack was crafted on."""
    model = found["model"]["name"]
    known = study(model)
    if isinstance(known, str):
        return said(TITLE, escape(known)), None
    if known is None:
        return said(
            TITLE,
            f"That is told by a study of labelled pictures. {escape(found['model']['title'])} has none "
            f"yet; <code>{escape(COMMAND.format(model, saturation.NAME))}</code> makes it.",
        ), None
    return head(TITLE) + _words(known), _figure(known)


def _words(known: Saturation) -> str:
    pictures = " or ".join(f"{each:,}" for each in sorted({of.pictures for of in known.points}))
    return (
        f'<p class="lab-muted">{pictures} labelled pictures, PGD of {known.steps} steps, worst iterate, '
        "each crafted as the legend says and judged on the model with its scores times c. Bars are "
        "95 % intervals. Lower is a stronger attack: what its own gradient leaves and factor 1/c does "
        f"not, was masked. On {escape(known.device)}.</p>"
    )


def _figure(known: Saturation) -> go.Figure:
    """Over c at one budget; where several were measured at one c, over them below."""
    eps, c = _widest(known.points, "eps"), _widest(known.points, "c")
    panels = [("c", [each for each in known.points if each.eps == eps], f"eps {_255(eps)}/255")]
    budgets = [each for each in known.points if each.c == c]
    if len({each.eps for each in budgets}) > 1:
        panels.append(("eps", budgets, f"scores × {c:g}"))
    figure = make_subplots(
        rows=len(panels),
        cols=1,
        subplot_titles=[title for *_, title in panels],
        vertical_spacing=0.2,
    )
    for row, (along, points, _) in enumerate(panels, 1):
        for name in LINES:
            if own := _own(known, points, name):
                figure.add_trace(_line(name, own, along, named=row == 1), row=row, col=1)
    figure = styled(figure, "", "", "right answers left, %", 100 + 320 * len(panels))
    for row, (along, points, _) in enumerate(panels, 1):
        stops = sorted({_at(each, along) for each in points})
        words, shown = AXES[along]
        figure.update_xaxes(
            type="log", title_text=words, tickvals=stops, ticktext=[*map(shown, stops)], row=row
        )
    return figure.update_yaxes(range=[0, 100])


def _255(eps: float) -> str:
    return f"{255 * eps:.2g}"


AXES: dict[str, tuple[str, Callable[[float], str]]] = {
    "c": ("c: what every score is multiplied by", lambda c: f"{c:g}"),
    "eps": ("largest change of a pixel, n/255", _255),
}


def _at(point: Point, along: str) -> float:
    return point.c if along == "c" else point.eps


def _widest(points: Sequence[Point], name: str) -> float:
    """The budget, or the c, at which most was measured."""
    every = Counter[float](getattr(each, name) for each in points)
    return every.most_common(1)[0][0]


def _own(known: Saturation, points: Sequence[Point], name: str) -> list[Point]:
    """The points of one line: of single factors, the best at each place."""
    places = sorted({(each.c, each.eps) for each in points})
    found = (
        saturation.best_uniform(known, *at) if name == BEST else known.at(*at, name)
        for at in places
    )
    return [each for each in found if each is not None]


def _line(name: str, own: Sequence[Point], along: str, *, named: bool) -> go.Scatter:
    """The points of one way to craft, with their intervals; `named` where the legend has it from."""
    words, colour, dash, mark = LINES[name]
    left = [each.left for each in own]
    return go.Scatter(
        x=[_at(each, along) for each in own],
        y=[each.value for each in left],
        name=words,
        legendgroup=name,
        showlegend=named,
        mode="lines+markers",
        line={"color": colour, "width": 2, "dash": dash},
        marker={"symbol": mark, "size": 8},
        error_y=whiskers(left),
        hovertemplate=f"%{{y:.1f}} %<extra>{words}</extra>",
    )
