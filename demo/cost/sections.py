"""What the Cost page says beside its linked views: times, growth, countermeasures, the detector.

Each is words, and a chart where there is something to draw; both are of one message.
"""

from __future__ import annotations

from html import escape
from typing import Any

import plotly.graph_objects as go

from demo.kit import sections as kit
from demo.kit.plots import ATTACKED, CLEAN, NOISE, styled
from demo.kit.sections import (
    PLAIN,
    Message,
    Roc,
    Section,
    Timed,
    head,
    percent,
    price,
    rated,
    row,
    said,
    shipped,
    span,
    table,
)
from engine.evaluate.interval import Estimate
from engine.papers.quant.findings import About, Defended, Findings

TIMED = (
    Timed("float", "float model", PLAIN),
    Timed("clean", "int8, clean", CLEAN),
    Timed("noise", "int8, noise", NOISE),
    Timed("adversarial", "int8, attacked", ATTACKED),
)
study = shipped("quant", Findings)
COMMAND = "python -m engine claims quant FOLDER --model"


def sections(found: Message | None) -> list[Any]:
    """The words and charts of all sections, in the order of `NAMES`; empty where nothing is known."""
    if found is None:
        return ["", None, "", None, "", "", None]
    return [*times(found), *growth(found), defences(found), *detector(found)]


def times(found: Message) -> Section:
    """What a pass takes, and where that was measured."""
    ratios = (
        ("Attacked over clean", "adversarial", "clean"),
        ("int8 over float, clean", "clean", "float"),
    )
    how = "the product over all columns in int8, outliers in float32 beside it."
    return kit.times(found, TIMED, ratios, how)


def growth(found: Message) -> Section:
    """How the columns grow, step by step."""
    title, path = "How the columns grow while the attack works", found["path"]
    if not found["asked"]:
        return said(title, "Nothing may change at a budget of 0, so no step is taken."), None
    if len(path) < 2:
        return said(title, _universal(found["attack"].get("measured"))), None
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
    return head(title) + words, styled(figure, "", "step", f"outlier columns at {at}", 240)


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
        return said(title, "They follow when the run has come to its end.")
    columns = ["", "outside int8, clean → attacked", "left of the attack’s cost", "answer"]
    columns.append("error of logits")
    if known:
        columns += [
            "left, %, in the study",
            "change of accuracy, points",
            "accuracy under attack, %",
        ]
    rows = [
        row(
            "none: plain int8" if name == "none" else name,
            [*_of_picture(here, name), *(_of_study(there.get(name)) if known else ())],
        )
        for name in here or there
    ]
    at = naming(found["threshold"]["value"])
    return (
        head(title)
        + table("Countermeasures", columns, rows)
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
    return [span(left), price(each.price), span(each.attacked)]


def detector(found: Message) -> Section:
    """What a detector that counts columns catches at what price."""
    title, known = "A detector that counts columns: what it catches at what price", _study(found)
    if not known:
        words = "Its ROC curve comes from a study of many pictures, too; there is none for this model yet."
        return said(title, words), None
    by, of = known.detected, known.about
    words = (
        f"<p>Area under the curve {kit.area(by.area, of.pictures)}. Calibrated to "
        f"{100 * by.alarm:g} % false alarms (flag above {by.limit:g} columns) it caught "
        f"{rated(by.caught)} of attacks and flagged {rated(by.flagged)} of clean pictures.</p>"
        f'<p class="lab-muted">{_about(of)}</p>'
    )
    used = f"above {by.limit:g} columns"
    shares = by.flagged.value / 100, by.caught.value / 100
    return head(title) + words, kit.roc(Roc(by.false_alarms, by.hits, used, *shares))


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
