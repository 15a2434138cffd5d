"""What stands on Defend and what happens there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gradio as gr

from demo.defend import first
from demo.defend.message import measured
from demo.defend.sections import sections
from demo.defend.trial import PATIENCE_SECONDS, STEPS, attacks, chosen, offered
from demo.kit import panel, rooms, strip
from demo.kit.board import Board
from demo.kit.door import Shared
from demo.kit.frame import unseen
from demo.kit.panel import Panel, header
from demo.kit.scripts import on_load

LEAD = (
    "A model that is trained on attacked pictures withstands larger changes. What does that buy, what does "
    "it cost, and is it resistance or a hidden gradient?"
)
BOARD = Board(
    "defend",
    first.DEFAULT,
    chosen,
    sections,
    lambda at: f"{at.model} at {at.eps}/255",
    PATIENCE_SECONDS,
)
at_first = BOARD.at_first


def page(shared: Shared) -> None:
    """The page, in the current Blocks context."""
    header("Defend", LEAD, rooms.DEFEND.switch(rooms.TRAINING))
    weights = shared.weights
    earlier, said = at_first(weights)
    unseen(on_load("measured(props)"), "defend-measured").value = json.dumps(measured())
    with gr.Row(elem_id="room"):
        with gr.Column(elem_id="recipe"):
            made = _controls(weights, said)
        with gr.Column(elem_id="report"):
            board = BOARD.shown(earlier)
            signs, judged = sections(earlier)
            parts: list[Any] = [BOARD.said("signs", signs), BOARD.said("judged", judged)]
    BOARD.opens(shared, made, board, parts)


def _controls(weights: Path | None, said: str) -> Panel:
    models = offered(weights)
    brought = strip.make(first.source())
    asked: dict[str, Any] = {
        "model": gr.CheckboxGroup(
            models,
            value=[name for _, name in models],
            label="Models",
            interactive=True,
            elem_id="model",
        ),
        "control": gr.Checkbox(
            True,
            label="Control: the plain ViT, its gradient hidden on purpose",
            interactive=True,
            elem_id="knob-control",
        ),
        "attack": gr.Dropdown(
            attacks(), value="pgd", label="Attack", interactive=True, elem_id="attack"
        ),
        "steps": gr.Slider(
            1,
            100,
            STEPS,
            step=1,
            label="Steps at each budget",
            interactive=True,
            elem_id="knob-steps",
        ),
    }
    return Panel(asked, panel.actions(said), brought)
