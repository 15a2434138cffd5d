"""What pages ask of a visitor beside the picture: the true class, and the seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from demo.kit import models
from engine.core.errors import BadTask
from engine.data.labels import class_index
from engine.model import zoo

SELF = "What the model sees"
MOST_SEED = 2**53  # a browser's numbers are exact below


def label_control(model: str, weights: Path | None) -> gr.Dropdown:
    return gr.Dropdown(
        labels(model, weights), value=SELF, label="True class", interactive=True, elem_id="label"
    )


def labels(model: str, weights: Path | None) -> list[str]:
    """What can be chosen as the true class: the model's own answer, or one of its classes."""
    return [SELF, *models.classes(model, weights)]


def label(chosen: Any, model: str, weights: Path | None) -> int | None:
    """The class that was chosen; None where the model's own answer counts. Raises BadTask."""
    if chosen == SELF:
        return None
    return class_index(zoo.class_names(zoo.card(model, weights)), str(chosen))


def seed_control(info: str | None = None) -> gr.Number:
    return gr.Number(0, precision=0, label="Seed", info=info, elem_id="seed")


def seed(value: Any) -> int:
    """A typed seed; raises BadTask."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value < MOST_SEED or value != int(value):
        raise BadTask("The seed must be a whole number from 0.", "Type, for instance, 0.")
    return int(value)
