"""The stored study of a source in words, as charts and as a table: what TGR's settings gain."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from textwrap import wrap

import plotly.graph_objects as go

from demo.kit import plots
from engine.evaluate.study import Study
from engine.evaluate.words import points
from engine.model import zoo
from engine.papers.tgr.ablation import Entry, Parts
from engine.papers.tgr.gains import BUDGETS, tokens, variant

# The page's colours and marks of the variants, as in `why.css` and `why.js`.
LOOKS = {
    "baseline": ("#222222", "circle"),
    "gamma": ("#E69F00", "circle"),
    "zeroing": ("#56B4E9", "circle"),
    "both": ("#D55E00", "diamond"),
    "random": ("#7F7F7F", "circle-open"),
}
LONGEST = 24  # letters of a setting on a line
ROW = 27


def words(known: Study[Parts] | None, weights: Path | None) -> str:
    """What was measured, on what, and what it says of the extreme tokens."""
    if known is None:
        return ""
    titles = {each.name: each.title for each in zoo.cards(weights)}
    source, *targets = (titles.get(each, each) for each in (known.model, *known.about["targets"]))
    first = known.findings.entries[0]
    had = "had at least one of them right" if len(targets) > 1 else "had it right"
    return (
        f"<h2>Measured: which setting gains on MI-FGSM, attacked on {escape(source)}</h2>"
        f"<p>{escape(tokens(known.findings))}</p>"
        f'<p class="lab-hint">Attack success rate, the mean over {escape("; ".join(targets))}, '
        f"minus that of MI-FGSM at the same budget, in points. {first.images} "
        f"photograph{'s' * (first.images != 1)}, each model judged on those it had right "
        f"({first.pictures} {had}); 95 % intervals over pictures drawn in pairs. "
        "Right of the line helps.</p>"
    )


def figures(known: Study[Parts] | None) -> list[go.Figure | None]:
    """A chart for each budget, all on one axis; none where nothing was measured at it."""
    panels = [() if known is None else _ranked(known.findings, eps) for eps in BUDGETS]
    ends = [100 * end for its in panels for each in its for end in (each.gain.low, each.gain.high)]
    low, high = min(0.0, *ends, 0.0), max(0.0, *ends, 0.0)
    margin = 0.04 * (high - low) or 1.0
    span = (low - margin, high + margin)
    return [
        _figure(eps, its, span) if its else None for eps, its in zip(BUDGETS, panels, strict=True)
    ]


def table(known: Study[Parts] | None) -> str:
    """All numbers of the charts, for who cannot see or hover them."""
    if known is None:
        return ""
    rows = "".join(
        f'<tr><td>{eps}/255</td><th scope="row">{escape(each.words)}</th>'
        f"<td>{points(each.gain, 1)}</td><td>{100 * each.rate.value:.1f} %</td>"
        f"<td>{each.p:.2g}</td></tr>"
        for eps in BUDGETS
        for each in _ranked(known.findings, eps)
    )
    heads = ("eps", "setting", "gain in points [95 %]", "attack success rate", "McNemar p")
    head = "".join(f'<th scope="col">{each}</th>' for each in heads)
    return (
        "<details><summary>The same as a table</summary><div>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div></details>"
    )


def _ranked(parts: Parts, eps: int) -> list[Entry]:
    """The settings at a budget, the largest gain first."""
    return sorted(parts.at(eps), key=lambda each: -each.gain.value)


def _figure(eps: int, rows: Sequence[Entry], span: tuple[float, float]) -> go.Figure:
    made = go.Figure()
    for role, (colour, symbol) in LOOKS.items():
        own = [(at, each) for at, each in enumerate(rows) if variant(each) == role]
        gains = [each.gain.times(100) for _, each in own]
        made.add_scatter(
            x=[each.value for each in gains],
            y=[at for at, _ in own],
            mode="markers",
            marker={
                "color": colour,
                "symbol": symbol,
                "size": 9,
                "line": {"color": colour, "width": 1.5},
            },
            error_x={
                "array": [each.high - each.value for each in gains],
                "arrayminus": [each.value - each.low for each in gains],
                "color": colour,
                "thickness": 2,
                "width": 0,
            },
            hovertext=[_told(each) for _, each in own],
            hoverinfo="text",
            showlegend=False,
        )
    made.update_xaxes(range=span, zeroline=True, zerolinewidth=1.5)
    made.update_yaxes(
        tickvals=list(range(len(rows))),
        ticktext=["<br>".join(wrap(each.words, LONGEST)) for each in rows],
        tickfont={"size": 11},
        range=[len(rows) - 0.5, -0.5],
        showgrid=False,
        zeroline=False,
    )
    height = 84 + ROW * len(rows)
    return plots.styled(
        made, f"<b>eps {eps}/255</b>", "gain on MI-FGSM, points", "", height, left=160
    )


def _told(entry: Entry) -> str:
    return (
        f"{escape(entry.words)}<br>gain {points(entry.gain, 1)} points<br>attack success rate "
        f"{100 * entry.rate.value:.1f} %, McNemar p {entry.p:.2g}"
    )
