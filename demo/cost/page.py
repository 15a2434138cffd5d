"""What stands on the Cost page and what happens there."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from demo.cost import first
from demo.cost.sections import sections
from demo.cost.trial import (
    ABSOLUTE,
    CALIBRATE,
    EPS,
    PATIENCE_SECONDS,
    STEPS,
    attacks,
    chosen,
)
from demo.kit import models, panel, rooms, status, strip
from demo.kit.board import Board
from demo.kit.door import Shared
from demo.kit.events import QUICK
from demo.kit.panel import Panel, header
from engine.core.errors import EngineError
from engine.model import zoo
from engine.papers.quant.paper import UNIVERSAL
from engine.papers.quant.threshold import PUBLISHED, SHARE, is_calibrated

LEAD = "An int8 model runs outliers in 16 bits. An attack makes outliers: the answer stays, the bill grows."
MOST_STEPS = {"pgd": 200}
BOARD = Board(
    "cost",
    first.DEFAULT,
    chosen,
    sections,
    lambda at: f"{at.columns} outlier columns",
    PATIENCE_SECONDS,
)
at_first = BOARD.at_first


def page(shared: Shared) -> None:
    """The Cost page, in the current Blocks context."""
    header("Cost", LEAD, rooms.COST.switch(rooms.OUTLIERS))
    weights = shared.weights
    earlier, said = at_first(weights)
    with gr.Row(elem_id="room"):
        with gr.Column(elem_id="recipe"):
            made = _controls(weights, said)
        with gr.Column(elem_id="report"):
            shown, parts = _report(earlier)
    BOARD.opens(shared, made, shown, parts)
    _follow_choices(made, weights)


def _controls(weights: Path | None, said: str) -> Panel:
    here = {each.name for each in zoo.cards(weights) if zoo.available(each) == "here"}
    offered = [(title, name) for title, name in models.choices(weights) if name in here]
    model = offered[0][1] if offered else ""
    by_share = _by_share(model, weights)
    brought = strip.make()
    card = partial(models.card, weights=weights)
    asked: dict[str, Any] = {"model": panel.model(offered, "Model, to be run in int8", card)}
    asked["attack"] = gr.Dropdown(
        attacks(model), value="count", label="Attack", interactive=True, elem_id="attack"
    )
    asked |= panel.budget(eps=(0, 32, EPS), steps=(300, STEPS))
    actions = panel.actions(said)
    asked["calibrate"] = gr.Radio(
        [CALIBRATE, ABSOLUTE],
        value=CALIBRATE if by_share else ABSOLUTE,
        label="Outlier threshold",
        info="6.0 as published; a small network has next to no outliers there.",
        elem_id="calibrate",
    )
    asked["share"] = gr.Slider(
        0.1,
        5,
        SHARE * 100,
        step=0.1,
        label="Clean columns that are outliers (%)",
        visible=by_share,
        interactive=True,
        elem_id="knob-share",
    )
    asked["threshold"] = gr.Number(
        PUBLISHED,
        label="Inputs of at least this size leave int8",
        visible=not by_share,
        interactive=True,
        elem_id="knob-threshold",
    )
    return Panel(asked, actions, brought)


def _by_share(model: str, weights: Path | None) -> bool:
    """Where no model is here the page still opens."""
    return not model or is_calibrated(zoo.card(model, weights))


def _report(earlier: dict[str, Any] | None) -> tuple[gr.HTML, list[Any]]:
    """The board, whose value is the latest message, and the sections beside the linked views."""
    shown = BOARD.shown(earlier)
    spent, spent_plot, grown, grown_plot, mended, told, told_plot = sections(earlier)
    with gr.Row(elem_classes="report-two"):
        with gr.Column():
            BOARD.view("price")
        with gr.Column():
            parts: list[Any] = [BOARD.said("time", spent), BOARD.plot(spent_plot, "times")]
    with gr.Row(elem_classes="report-two"):
        with gr.Column():
            BOARD.view("batch")
        with gr.Column():
            parts += [BOARD.said("path", grown), BOARD.plot(grown_plot, "growth")]
    parts += [
        BOARD.said("defence", mended),
        BOARD.said("detect", told),
        BOARD.plot(told_plot, "roc"),
    ]
    return shown, parts


def _follow_choices(made: Panel, weights: Path | None) -> None:
    """What one choice changes in the others."""

    def look(model: str, attack: str) -> Any:
        try:
            by_share = _by_share(model, weights)
        except EngineError as problem:
            return gr.skip(), gr.skip(), gr.skip(), gr.skip(), status.error(problem)
        offered = attacks(model)
        kept = attack if attack in {name for _, name in offered} else "count"
        return (
            gr.update(choices=offered, value=kept),
            CALIBRATE if by_share else ABSOLUTE,
            gr.update(visible=by_share),
            gr.update(visible=not by_share),
            gr.skip(),
        )

    def aim(attack: str) -> Any:
        own = attack != UNIVERSAL
        return gr.update(visible=own), gr.update(visible=own, maximum=MOST_STEPS.get(attack, 300))

    def set_by(how: str) -> Any:
        return gr.update(visible=how == CALIBRATE), gr.update(visible=how == ABSOLUTE)

    model, attack, how = (made[name] for name in ("model", "attack", "calibrate"))
    either = [made["share"], made["threshold"]]
    told = [attack, how, *either, made.actions.status]
    model.change(look, [model, attack], told, preprocess=False, **QUICK)
    attack.change(aim, attack, [made["eps"], made["steps"]], preprocess=False, **QUICK)
    how.input(set_by, how, either, preprocess=False, **QUICK)
