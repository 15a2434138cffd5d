"""What stands in the tokens room of Cost and what happens there."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from demo.cost_tokens import first
from demo.cost_tokens.sections import sections
from demo.cost_tokens.trial import (
    BUDGETED,
    EPS,
    PATIENCE_SECONDS,
    STEPS,
    attacks,
    card,
    chosen,
    offered,
)
from demo.kit import panel, rooms, status, strip
from demo.kit.board import Board
from demo.kit.door import Shared
from demo.kit.events import QUICK
from demo.kit.panel import Panel, header
from engine.attack.recipes.desparsify import DeSparsify
from engine.attack.universal import KINDS
from engine.core.errors import EngineError

LEAD = "A sparse ViT lets tokens sleep. An attack wakes them: the answer stays, the bill grows."
BOARD = Board(
    "tokens",
    first.DEFAULT,
    chosen,
    sections,
    lambda at: f"{at.macs / 1e9:.2f} GMACs",
    PATIENCE_SECONDS,
)
at_first = BOARD.at_first


def page(shared: Shared) -> None:
    """The room, in the current Blocks context; its frame is that of the other room of Cost."""
    header("Cost", LEAD, rooms.COST.switch(rooms.TOKENS))
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
    models = offered(weights)
    model = models[0][1] if models else ""
    brought = strip.make()
    asked: dict[str, Any] = {
        "model": panel.model(models, "Model that loses tokens", partial(card, weights=weights))
    }
    asked["attack"] = gr.Dropdown(
        attacks(model, weights) if model else [],
        value=DeSparsify.name,
        label="Attack",
        interactive=True,
        elem_id="attack",
    )
    asked |= panel.budget(eps=(0, 32, EPS), steps=(300, STEPS))
    asked["keep"] = gr.Checkbox(
        True, label="Keep the answer, so that nobody notices", elem_id="knob-keep"
    )
    return Panel(asked, panel.actions(said), brought)


def _report(earlier: dict[str, Any] | None) -> tuple[gr.HTML, list[Any]]:
    """The board, whose value is the latest message, and the sections beside the linked views."""
    shown = BOARD.shown(earlier)
    spent, spent_plot, bound, bound_plot, told, told_plot, curve, curve_plot = sections(earlier)
    with gr.Row(elem_classes="report-two"):
        with gr.Column():
            BOARD.view("price")
        with gr.Column():
            parts: list[Any] = [BOARD.said("time", spent), BOARD.plot(spent_plot, "times")]
    with gr.Row(elem_classes="report-two"):
        with gr.Column():
            BOARD.view("elsewhere")
        with gr.Column():
            BOARD.view("batch")
    BOARD.view("defence")
    with gr.Row(elem_classes="report-two"):
        with gr.Column():
            parts += [BOARD.said("bounds", bound), BOARD.plot(bound_plot, "bounds-plot")]
        with gr.Column():
            parts += [BOARD.said("detect", told), BOARD.plot(told_plot, "roc")]
    parts += [BOARD.said("curve", curve), BOARD.plot(curve_plot, "gap")]
    return shown, parts


def _follow_choices(made: Panel, weights: Path | None) -> None:
    """What one choice changes in the others."""

    def look(model: str, attack: str) -> Any:
        try:
            choices = attacks(model, weights)
            kept = attack if attack in {name for _, name in choices} else DeSparsify.name
            return gr.update(choices=choices, value=kept), gr.skip()
        except EngineError as problem:
            return gr.skip(), status.error(problem)

    def aim(attack: str) -> Any:
        shown = attack in BUDGETED, attack not in KINDS, attack == DeSparsify.name
        return [gr.update(visible=each) for each in shown]

    model, attack = made["model"], made["attack"]
    budget = [made["eps"], made["steps"], made["keep"]]
    told = [attack, made.actions.status]
    model.change(look, [model, attack], told, preprocess=False, **QUICK)
    attack.change(aim, attack, budget, preprocess=False, **QUICK)
