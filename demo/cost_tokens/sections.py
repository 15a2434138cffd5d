"""What the tokens room says beside its linked views: times; and of the model's study, the bounds on
tokens, the detector, and how small a change is enough.

Each is words, and a chart where there is something to draw; both are of one message.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from demo.kit import sections as kit
from demo.kit.plots import ATTACKED, CLEAN, NOISE, styled
from demo.kit.sections import (
    PLAIN,
    Message,
    Roc,
    Section,
    Timed,
    head,
    price,
    rated,
    row,
    said,
    shipped,
    span,
    table,
)
from engine.alter.catalog import ON
from engine.core.limits import megabytes
from engine.evaluate.interval import Estimate
from engine.papers.desparsify.findings import About, Bounded, Defended, Findings, Point

DEFENDED = "#009E73"
TIMED = (
    Timed("dense", "dense model", PLAIN),
    Timed("clean", "clean", CLEAN),
    Timed("noise", "noise", NOISE),
    Timed("adversarial", "attacked", ATTACKED),
)
study = shipped("desparsify", Findings)
COMMAND = "python -m engine claims desparsify FOLDER --model"


def sections(found: Message | None) -> list[Any]:
    """The words and charts of all sections, as the page lays them out; empty where nothing is known."""
    if found is None:
        return ["", None, "", None, "", None, "", None]
    return [*times(found), *bounds(found), *detector(found), *curve(found)]


def times(found: Message) -> Section:
    """What a pass takes, and where that was measured; on a GPU, its memory and energy."""
    ratios = (
        ("Attacked over clean", "adversarial", "clean"),
        ("attacked over the dense model", "adversarial", "dense"),
    )
    how = "what sleeps is really left out, which takes gathering of its own."
    words, chart = kit.times(found, TIMED, ratios, how)
    return words + _metered(found), chart


def _metered(found: Message) -> str:
    """Memory and energy of a pass, clean and attacked, where this machine tells them."""
    parts: list[str] = []
    if memory := found["memory"]:
        clean, attacked = (megabytes(memory[each]) for each in ("clean", "adversarial"))
        parts.append(f"Most memory of a pass: {clean} clean, {attacked} attacked.")
    if energy := found["energy"]:
        clean, attacked = (energy[each] for each in ("clean", "adversarial"))
        parts.append(
            f"Energy of a pass: {clean:.3g} J clean, {attacked:.3g} J attacked "
            f"({escape(found['meter'])})."
        )
    return f"<p>{' '.join(parts)}</p>" if parts else ""


def bounds(found: Message) -> Section:
    """What a bound on the tokens of each block leaves of the attack, and its price in accuracy."""
    known = _study(found)
    if not known:
        return "", None
    title, of = "A bound on awake tokens: what it leaves of the attack, and its price", known.about
    rows = [_defended(each) for each in known.defended]
    columns = ["", "left of the attack, %", "change of accuracy, points", "answers kept, %"]
    words = (
        '<p class="lab-muted">The bound is a share of all tokens, the same in each block; the least '
        "confident tokens are put to sleep first. No picture can cost more than the ceiling. "
        f"{_about(of)}</p>" + (table("Calibrated countermeasures", columns, rows) if rows else "")
    )
    return head(title) + words, _over_bounds(known.bounds, of) if known.bounds else None


def _defended(each: Defended) -> str:
    return row(each.name, [span(each.left), price(each.price), span(each.kept)])


def _over_bounds(points: Sequence[Bounded], of: About) -> go.Figure:
    """Above the cost, below the clean accuracy that it is bought with, over one axis."""
    x = [100 * each.bound for each in points]
    figure = make_subplots(
        rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.08, row_heights=[0.62, 0.38]
    )
    ceiling = go.Scatter(
        x=x,
        y=[each.ceiling for each in points],
        name="ceiling",
        mode="lines",
        line={"color": PLAIN, "width": 1.5, "dash": "dash"},
        hovertemplate="%{x:.0f} %: at most %{y:.3g} GMACs<extra>ceiling</extra>",
    )
    lines = [
        ceiling,
        *_banded(x, [each.clean for each in points], "clean", CLEAN),
        *_banded(x, [each.blind for each in points], "attacked, bound not known", ATTACKED),
    ]
    knowing = [(100 * each.bound, each.adaptive) for each in points if each.adaptive]
    if knowing:
        at, costs = [each[0] for each in knowing], [each[1] for each in knowing]
        lines += _banded(at, costs, "attacked, bound known", "#CC79A7", "dash")
    for line in lines:
        figure.add_trace(line, row=1, col=1)
    accuracy = [
        Estimate(*(of.accuracy.value + v for v in (e.price.value, e.price.low, e.price.high)))
        for e in points
    ]
    for line in _banded(x, accuracy, "clean accuracy", DEFENDED):
        figure.add_trace(line, row=2, col=1)
    figure = styled(figure, "", "", "", 440)
    figure.update_xaxes(title_text="awake tokens allowed in a block, % of all", row=2, col=1)
    figure.update_yaxes(title_text="GMACs a picture", rangemode="tozero", row=1, col=1)
    figure.update_yaxes(title_text="accuracy, %", row=2, col=1)
    return figure


def detector(found: Message) -> Section:
    """What a detector that counts multiplications catches at what price."""
    known = _study(found)
    if not known:
        return "", None
    title = "A detector that counts the work: what it catches at what price"
    by, of = known.detected, known.about
    words = (
        f"<p>Area under the curve {kit.area(by.area, of.pictures)}. Calibrated to "
        f"{100 * by.alarm:g} % false alarms (flag above {by.limit / 1e9:.3g} GMACs) it caught "
        f"{rated(by.caught)} of attacks and flagged {rated(by.flagged)} of clean pictures.</p>"
        f'<p class="lab-muted">{_about(of)}</p>'
    )
    used = f"above {by.limit / 1e9:.3g} GMACs"
    shares = by.flagged.value / 100, by.caught.value / 100
    return head(title) + words, kit.roc(Roc(by.false_alarms, by.hits, used, *shares))


def curve(found: Message) -> Section:
    """How much of the saving is taken away at which budget, on many pictures."""
    known = _study(found)
    if not known:
        return _missing(found), None
    title = "How small a change is enough: the share of the saving that is gone"
    points, of = known.curve, known.about
    half = next((each for each in points if each.gap.value >= 50), None)
    words = (
        (
            f"<p>Half of what the model saves is gone by {_eps(half)}; noise of that size takes "
            f"{half.noise.value:z.0f} %.</p>"
            if half
            else f"<p>No budget up to {_eps(points[-1])} takes half of what the model saves.</p>"
        )
        + f'<p class="lab-muted">The study: {of.few} labelled pictures, DeSparsify in {of.side_steps} '
        f"steps, on {escape(of.device)}. Below 1/255 pictures are not rounded to 8 bits. Bands are 95 % "
        "intervals.</p>"
    )
    return head(title) + words, _over_eps(points)


def _over_eps(points: Sequence[Point]) -> go.Figure:
    x = [each.eps * 255 for each in points]
    figure = go.Figure(
        [
            *_banded(x, [each.noise for each in points], "noise of equal size", NOISE, "dot"),
            *_banded(x, [each.gap for each in points], "attacked", ATTACKED),
        ]
    )
    answers = go.Scatter(
        x=x,
        y=[each.kept.value for each in points],
        name="answers kept",
        mode="lines+markers",
        line={"color": CLEAN, "width": 1.5, "dash": "dash"},
        marker={"size": 5, "symbol": "square"},
        hovertemplate="%{x:.3g}/255: %{y:.0f} %<extra>answers kept</extra>",
    )
    figure.add_trace(answers)
    figure = styled(figure, "", "largest change of a pixel, n/255", "%", 320)
    figure.update_xaxes(type="log", tickvals=x, ticktext=[f"{each:.2g}" for each in x])
    return figure


def _banded(
    x: Sequence[float], y: Sequence[Estimate], name: str, colour: str, dash: str = "solid"
) -> list[go.Scatter]:
    """A line with its 95 % intervals as a band behind it."""
    band = go.Scatter(
        x=[*x, *reversed(x)],
        y=[*(each.high for each in y), *(each.low for each in reversed(y))],
        mode="lines",
        fill="toself",
        fillcolor=_faint(colour),
        line={"width": 0},
        hoverinfo="skip",
        showlegend=False,
    )
    line = go.Scatter(
        x=x,
        y=[each.value for each in y],
        name=name,
        mode="lines+markers",
        line={"color": colour, "width": 2, "dash": dash},
        marker={"size": 6},
        customdata=[[each.low, each.high] for each in y],
        hovertemplate="%{x:.3g}: %{y:.3g} [%{customdata[0]:.3g}, %{customdata[1]:.3g}]"
        f"<extra>{name}</extra>",
    )
    return [band, line]


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.16)"


def _study(found: Message) -> Findings | None:
    known = study(found["model"]["name"])
    return known if isinstance(known, Findings) else None


def _missing(found: Message) -> str:
    title = (
        "Over many pictures: how small a change is enough, what a bound or a detector leaves of it"
    )
    name, known = found["model"]["name"].partition(ON)[0], study(found["model"]["name"])
    if isinstance(known, str):
        return said(title, escape(known))
    command = f"{COMMAND} {name} --out assets/studies/desparsify_{name}.json"
    return said(
        title,
        f"That is told by a study of labelled pictures. {escape(found['model']['title'])} has none yet; "
        f"<code>{escape(command)}</code> makes it.",
    )


def _about(of: About) -> str:
    """All of a study's pictures, at the budget that it aims at."""
    return (
        f"The study: {of.pictures} labelled pictures, DeSparsify at {of.budget * 255:.2g}/255 in "
        f"{of.steps} steps, on {escape(of.device)}; clean accuracy {of.accuracy.value:.1f} %, of the "
        f"dense model {of.dense_accuracy.value:.1f} %. 95 % intervals."
    )


def _eps(point: Point) -> str:
    return f"{point.eps * 255:.2g}/255"
