"""What stands in the masked room of Why and what happens there."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from demo.kit import models, panel, rooms, strip
from demo.kit.board import Board
from demo.kit.door import Shared
from demo.kit.panel import Panel, header
from demo.why_masked import first
from demo.why_masked.sections import sections
from demo.why_masked.trial import EPS, PATIENCE_SECONDS, PER, STEPS, chosen, offered

LEAD = (
    "An attack follows the gradient. Where a softmax is so sure that this gradient is lost, it is "
    "<b>masked</b>: the attack goes astray, and the model looks robust without being so."
)
MOST_EPS, MOST_STEPS = 8, 100
BOARD = Board("masked", first.DEFAULT, chosen, sections, lambda _: "", PATIENCE_SECONDS)
at_first = BOARD.at_first


def page(shared: Shared) -> None:
    """The room, in the current Blocks context."""
    header("Why", LEAD, rooms.WHY.switch(rooms.MASKED))
    weights = shared.weights
    earlier, said = at_first(weights)
    with gr.Row(elem_id="room"):
        with gr.Column(elem_id="recipe"):
            made = _controls(weights, said)
        with gr.Column(elem_id="report"):
            shown = BOARD.shown(earlier)
            words, chart = sections(earlier)
            parts = [BOARD.said("study", words), BOARD.plot(chart, "curve")]
    BOARD.opens(shared, made, shown, parts)


def _controls(weights: Path | None, said: str) -> Panel:
    brought = strip.make()
    card = partial(models.card, weights=weights)
    asked: dict[str, Any] = {
        "model": panel.model(offered(weights), "Model that is looked into", card)
    }
    asked |= panel.budget(eps=(1, MOST_EPS, EPS), steps=(MOST_STEPS, STEPS))
    asked["per"] = gr.Radio(
        [(words, name) for name, words in PER.items()],
        value=next(iter(PER)),
        label="Factors that are learned (AAS)",
        interactive=True,
        elem_id="knob-per",
    )
    return Panel(asked, panel.actions(said), brought)
