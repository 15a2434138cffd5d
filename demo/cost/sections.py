"""What the Cost page says beside its linked views: times, growth, countermeasures, the detector.

Each is words, and a chart where there is something to draw; both are of one message.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from demo.cost.message import study
from demo.kit.plots import ATTACKED, CLEAN, NOISE, styled
from engine.evaluate.interval import Estimate, Rate
from engine.papers.quant.findings import About, Defended, Detected, Findings

FLOAT = "#8b949e"
BARS = (
    ("float", "float model", FLOAT),
    ("clean", "int8, clean", CLEAN),
    ("noise", "int8, noise", NOISE),
    ("adversarial", "int8, attacked", ATTACKED),
)
COMMAND = "python -m engine claims quant FOLDER --model"
Message = dict[str, Any]
Section = tuple[str, go.Figure | None]


def sections(found: Message | None) -> list[Any]:
    """The words and charts of all sections, in the order of `NAMES`; empty where nothing is known."""
    if found is None:
        return ["", None, "", None, "", "", None]
    return [*times(found), *growth(found), defences(found), *detector(found)]


def times(found: Message) -> Section:
    """What a pass takes, and where that was measured."""
    title = (
        "What a pass took where this report was made: another day, perhaps another machine"
        if found.get("earlier")
        else "What a pass takes on this machine: measured, one picture at a time"
    )
    spent, machine = found["times"], found["machine"]
    if not spent:
        return _said(title, "The times follow when the run has come to its end."), None
    attacked, clean, plain = (spent[each]["median"] for each in ("adversarial", "clean", "float"))
    busy = machine["others"]
    words = (
        f"<p>Attacked over clean: ×{attacked / clean:.2f}; int8 over float, clean: "
        f"×{clean / plain:.2f}.</p>"
        f'<p class="lab-muted">Median and quartiles of {_plural(spent["float"]["rounds"], "round")}, '
        f"the four taken in turn, on {escape(machine['device'])} of {escape(machine['processor'])} "
        f"with {_plural(machine['cores'], 'core')}, batch of one, eager PyTorch; the product over "
        "all columns in int8, outliers in float32 beside it. "
        + (
            f"Other programs kept {busy:.1f} of the cores busy meanwhile. "
            if busy is not None
            else ""
        )
        + ("Press Run to measure the machine that serves this page. " * bool(found.get("earlier")))
        + "GPU times of the paper cannot be had from a CPU.</p>"
    )
    return _head(title) + words, _bars(spent)


def _bars(spent: dict[str, dict[str, float]]) -> go.Figure:
    of = [spent[name] for name, _, _ in BARS]
    medians = [each["median"] for each in of]
    drawn = go.Bar(
        x=medians,
        y=[words for _, words, _ in BARS],
        orientation="h",
        marker={"color": [colour for _, _, colour in BARS]},
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
    for value, (_, words, _) in zip(medians, BARS, strict=True):
        place = {"x": 1, "xref": "paper", "xanchor": "left", "xshift": 8, "showarrow": False}
        figure.add_annotation(text=f"{value:.1f} ms", y=words, **place)
    figure.update_yaxes(autorange="reversed")
    figure = styled(figure, "", "milliseconds a pass", "", 210, left=96)
    return figure.update_layout(showlegend=False, margin={"r": 72})


def growth(found: Message) -> Section:
    """How the columns grow, step by step."""
    title, path = "How the columns grow while the attack works", found["path"]
    if not found["asked"]:
        return _said(title, "Nothing may change at a budget of 0, so no step is taken."), None
    if len(path) < 2:
        return _said(title, _universal(found["attack"].get("measured"))), None
    columns = [each[1] for each in path]
    rise = columns[0] + (max(columns) - columns[0]) / 2
    half = next(step for step, count in path if count >= rise)
    words = (
        f'<p class="lab-muted">Half of the rise is done by step {half}. Counted on the int8 model; '
        "the attack itself works on the float one.</p>"
    )
    line = go.Scatter(
        x=[each[0] for each in path],
        y=columns,
        mode="lines+markers",
        line={"color": ATTACKED, "width": 2},
        marker={"size": 5},
        hovertemplate="step %{x}: %{y} columns<extra></extra>",
    )
    figure = go.Figure(line)
    figure.update_xaxes(range=[0, found["asked"] * 1.02])
    figure.update_yaxes(rangemode="tozero")
    at = naming(found["threshold"]["value"])
    return _head(title) + words, styled(figure, "", "step", f"outlier columns at {at}", 240)


def _universal(measured: dict[str, float] | None) -> str:
    said = "A universal perturbation was trained beforehand and takes one addition."
    if not measured:
        return said
    return said + (
        f" On {measured['pictures']} pictures it had never seen it raised the columns from "
        f"{measured['clean']:.0f} to {measured['attacked']:.0f} on average; noise of its size: "
        f"{measured['noise']:.0f}."
    )


def defences(found: Message) -> str:
    """What each countermeasure leaves of the cost on this picture, and in the study its price."""
    title, known = "Countermeasures: what they leave of the cost, and their price", _study(found)
    here: dict[str, dict[str, Any]] = {each["name"]: each for each in found["defences"]}
    there = {each.name: each for each in known.defended} if known else {}
    if not here and not known:
        return _said(title, "They follow when the run has come to its end.")
    columns = ["", "outside int8, clean → attacked", "left of the attack’s cost", "answer"]
    columns.append("error of logits")
    if known:
        columns += [
            "left, %, in the study",
            "change of accuracy, points",
            "accuracy under attack, %",
        ]
    rows = [
        _row(
            "none: plain int8" if name == "none" else name,
            [*_of_picture(here, name), *(_of_study(there.get(name)) if known else ())],
        )
        for name in here or there
    ]
    at = naming(found["threshold"]["value"])
    return (
        _head(title)
        + _table("Countermeasures", columns, rows)
        + f'<p class="lab-muted">First columns: this picture, at {at}; error: |logits − float logits| '
        f"/ |float logits|, mean over the {found['others']} other samples. The attack does not know "
        "of the countermeasure; an attacker who does may do better. "
        + (f"{_about(known.about)}</p>" if known else f"</p>{_missing(found)}")
    )


def _of_picture(here: dict[str, dict[str, Any]], name: str) -> list[str]:
    if name not in here:
        return ["–"] * 4
    each, plain = here[name], here["none"]["attacked"]
    clean, attacked = (percent(each[key], 2) if each[key] else "0" for key in ("clean", "attacked"))
    return [
        f"{clean} → {attacked}",
        percent(each["attacked"] / plain) if plain else "–",
        "kept" if each["kept"] else "lost",
        percent(each["error"], 2),
    ]


def _of_study(each: Defended | None) -> list[str]:
    if each is None:
        return ["100", "–", "–"]
    left = Estimate(*(100 * v for v in (each.left.value, each.left.low, each.left.high)))
    return [_span(left), _price(each.price), _span(each.attacked)]


def detector(found: Message) -> Section:
    """What a detector that counts columns catches at what price."""
    title, known = "A detector that counts columns: what it catches at what price", _study(found)
    if not known:
        said = "Its ROC curve comes from a study of many pictures, too; there is none for this model yet."
        return _said(title, said), None
    by, of = known.detected, known.about
    area = f"{by.area.value:.3f}"
    if by.area.high - by.area.low < 1e-9:
        area += f": each of {of.pictures} attacked pictures lies above each clean one"
    else:
        area += f" [{by.area.low:.3f}, {by.area.high:.3f}]"
    words = (
        f"<p>Area under the curve {area}. Calibrated to {100 * by.alarm:g} % false alarms (flag above "
        f"{by.limit:g} columns) it caught {_rated(by.caught)} of attacks and flagged "
        f'{_rated(by.flagged)} of clean pictures.</p><p class="lab-muted">{_about(of)}</p>'
    )
    return _head(title) + words, _roc(by)


def _roc(by: Detected) -> go.Figure:
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
        x=[by.flagged.value / 100],
        y=[by.caught.value / 100],
        name=f"above {by.limit:g} columns",
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


def _study(found: Message) -> Findings | None:
    known = study(found["model"]["name"])
    return known if isinstance(known, Findings) else None


def _missing(found: Message) -> str:
    name, known = found["model"]["name"], study(found["model"]["name"])
    if isinstance(known, str):
        return f'<p class="lab-muted">{escape(known)}</p>'
    out = f"assets/studies/quant_{name}.json"
    return (
        f"<p>There is no study for {escape(found['model']['title'])} yet: what a countermeasure "
        "costs in accuracy needs hundreds of labelled pictures, not this one. "
        f"<code>{escape(f'{COMMAND} {name} --out {out}')}</code> makes it.</p>"
    )


def _about(of: About) -> str:
    set_by = (
        f" (set for the study: {percent(of.share, 1)} of the columns of {of.calibration} "
        "photographs reach it)"
    ) * bool(of.share)
    return (
        f"The study: {of.pictures} labelled pictures that calibrated nothing, threshold "
        f"{naming(of.threshold)}{set_by}, QuantAttack ({escape(of.form)}) at {of.eps * 255:.2g}/255 in "
        f"{of.steps} steps, on {escape(of.device)}; accuracy {of.float_accuracy:.1f} % float, "
        f"{of.int8_accuracy:.1f} % int8. 95 % intervals."
    )


def naming(threshold: float) -> str:
    """A threshold as people write it: the published one is 6.0."""
    return "6.0" if threshold == 6 else f"{threshold:.2f}"


def percent(share: float, digits: int = 0) -> str:
    """A share in %; small ones keep a digit, and what is not 0 does not look like it."""
    value = 100 * share
    if 0 < value < 0.1 and digits < 2:
        return "< 0.1 %"
    return f"{value:.{1 if 0 < value < 10 and not digits else digits}f} %"


def _span(of: Estimate) -> str:
    interval = f" <small>{of.low:.1f} to {of.high:.1f}</small>" * (of.high - of.low >= 1e-9)
    return f"{of.value:.1f}{interval}"


def _price(rate: Rate) -> str:
    """Where all pictures agree an interval from resampling has no width: the exact bound is said."""
    if rate.agreed:
        return f"0 of {rate.pictures} <small>at most {rate.high:.0f} points</small>"
    return _span(rate)


def _rated(of: Estimate) -> str:
    return f"{of.value:.0f} % [{of.low:.0f}, {of.high:.0f}]"


def _plural(count: int, word: str) -> str:
    return f"{count} {word}{'s' * (count != 1)}"


def _head(title: str) -> str:
    return f"<h2>{title}</h2>"


def _said(title: str, words: str) -> str:
    return f'{_head(title)}<p class="lab-muted">{words}</p>'


def _table(title: str, columns: Sequence[str], rows: Sequence[str]) -> str:
    head = "".join(f'<th scope="col">{each}</th>' if each else "<td></td>" for each in columns)
    return (
        f'<div class="cost-scroll" tabindex="0" role="region" aria-label="{title}"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _row(name: str, cells: Sequence[str]) -> str:
    return f'<tr><th scope="row">{escape(name)}</th>{"".join(f"<td>{each}</td>" for each in cells)}</tr>'
