"""What stands in the tokens room of Defend and what happens there."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from demo.defend_tokens import first
from demo.defend_tokens.sections import sections
from demo.defend_tokens.trial import (
    COUNT,
    EPS,
    HERE,
    MOST_COUNT,
    MOST_TRAINING,
    NEW,
    PATIENCE_SECONDS,
    STEPS,
    TOKENS,
    TRAINING,
    chosen,
    offered,
)
from demo.kit import models, panel, rooms, strip
from demo.kit.board import Board
from demo.kit.door import Shared
from demo.kit.events import QUICK
from demo.kit.panel import Panel, header

LEAD = (
    "A few trained tokens beside a picture’s own: published, they keep the features of large models from "
    "an attacker who lacks them. What do they keep here, and from whom?"
)
MOST_EPS, MOST_STEPS = 8, 60
BOARD = Board("armour", first.DEFAULT, chosen, sections, lambda at: at.what, PATIENCE_SECONDS)
at_first = BOARD.at_first


def page(shared: Shared) -> None:
    """The room, in the current Blocks context."""
    header("Defend", LEAD, rooms.DEFEND.switch(rooms.ARMOUR))
    weights = shared.weights
    earlier, said = at_first(weights)
    with gr.Row(elem_id="room"):
        with gr.Column(elem_id="recipe"):
            made, training = _controls(weights, said)
        with gr.Column(elem_id="report"):
            shown, parts = _report(earlier)
    BOARD.opens(shared, made, shown, parts)

    def ask(tokens: str) -> Any:
        return gr.update(visible=tokens == NEW)

    made["tokens"].change(ask, made["tokens"], training, preprocess=False, **QUICK)


def _controls(weights: Path | None, said: str) -> tuple[Panel, gr.Column]:
    brought = strip.make()
    card = partial(models.card, weights=weights)
    asked: dict[str, Any] = {
        "model": panel.model(offered(weights), "Model that tokens are for", card)
    }
    asked["tokens"] = gr.Radio(
        [(words, name) for name, words in TOKENS.items()],
        value=HERE,
        label="Tokens",
        interactive=True,
        elem_id="knob-tokens",
    )
    with gr.Column(visible=False, elem_id="training") as training:
        asked |= _training()
    asked |= panel.budget(eps=(1, MOST_EPS, EPS), steps=(MOST_STEPS, STEPS))
    return Panel(asked, panel.actions(said), brought), training


def _report(earlier: dict[str, Any] | None) -> tuple[gr.HTML, list[Any]]:
    """The board, whose value is the latest message, and the sections beside the linked views."""
    shown = BOARD.shown(earlier)
    found, within, peaks, outliers, counted, swept, printed = sections(earlier)
    parts: list[Any] = [BOARD.said("measured", found), BOARD.said("within", within)]
    with gr.Row(elem_classes="report-two"):
        parts += [BOARD.plot(peaks, "peaks"), BOARD.plot(outliers, "columns")]
    parts += [BOARD.said("numbers", counted), BOARD.plot(swept, "sweep")]
    parts += [BOARD.said("published", printed)]
    return shown, parts


def _training() -> dict[str, gr.Slider]:
    """How many tokens, and for how many steps they are trained here."""
    return {
        "count": gr.Slider(
            1, MOST_COUNT, COUNT, step=1, label="How many", interactive=True, elem_id="knob-count"
        ),
        "training": gr.Slider(
            1,
            MOST_TRAINING,
            TRAINING,
            step=1,
            label="Training steps",
            info="On the samples and your picture; a minute or two, and Stop ends it.",
            interactive=True,
            elem_id="knob-training",
        ),
    }
