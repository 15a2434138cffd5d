"""The recipe column: picture, model, goal and knobs, and the request they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from demo.kit import controls, models, pictures, status
from demo.kit.knows import knows, stranger
from engine.alter.bfloat16 import BFloat16, is_fast
from engine.attack.catalog import RECIPES
from engine.attack.recipe import Recipe
from engine.core.errors import BadImage, BadTask
from engine.core.placement import device
from engine.data.labels import class_index
from engine.model import zoo
from engine.studio import Request

SELF = "What the model sees"
ANY, ONE = "anything else", "a class I choose"
MOST_SEED = 2**53
MOST_OTHERS = 16
# Constant template, driven by Python's value alone: gradio undoes what JS does to a template.
PICK = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-sample]');
  if (!button) return;
  window.labPicked = 'sample:' + button.dataset.sample;
  trigger('pick', {id: button.dataset.sample});
});
"""


@dataclass(frozen=True)
class Panel:
    """The column's controls. `before` remembers which attack's knobs are shown, `wanted` to which
    models the visitor wants results shown, also while some of them cannot be."""

    source: gr.Textbox
    strip: gr.HTML
    picture: gr.Image
    model: gr.Dropdown
    card: gr.HTML
    knows: gr.HTML
    imagenet: gr.Button
    attack: gr.Dropdown
    before: gr.Textbox
    goal: gr.Radio
    target: gr.Dropdown
    knobs: dict[str, gr.components.Component]
    hint: gr.HTML
    sentence: gr.HTML
    run: gr.Button
    step: gr.Button
    stop: gr.Button
    status: gr.HTML
    label: gr.Dropdown
    others: gr.Dropdown
    wanted: gr.JSON
    seed: gr.Number
    bfloat16: gr.Checkbox
    hub: gr.HTML
    reset: gr.Button

    @property
    def said(self) -> list[gr.components.Component]:
        """What the goal in one sentence is made of."""
        aim = [self.model, self.attack, self.goal, self.target]
        return [*aim, self.knobs["eps"], self.knobs["steps"]]

    @property
    def asked(self) -> list[gr.components.Component]:
        """What a request is made of, in the order of `request`'s values."""
        aim = [self.source, self.model, self.attack, self.goal, self.target]
        return [*aim, self.label, self.others, self.seed, self.bfloat16, *self.knobs.values()]


def make(start: Request | None, weights: Path | None) -> Panel:
    """The column in the current layout, set to the request `start`."""
    model = start.model if start else zoo.cards(weights)[0].name
    attack = start.recipe if start else RECIPES[0]()
    names = models.classes(model, weights)
    parts = picture(start) | _knows(pictures.first(), model, weights) | _model(model, weights)
    parts |= _goal(attack, names)
    with gr.Row(elem_id="budget"):
        main = controls.make(True, attack)
    parts |= {"hint": gr.HTML("", elem_id="hint")} | _actions()
    parts |= {"sentence": gr.HTML(elem_id="sentence")}
    with gr.Accordion("More", open=False, elem_id="more"):
        folded = controls.make(False, attack)
        others = models.others(model, weights)
        shown_to = list(start.others) if start else []
        parts |= _folded(names, others, shown_to, [model, *shown_to])
    return Panel(**parts, knobs=main | folded)


def request(weights: Path | None, names: Sequence[str], values: Sequence[Any]) -> Request:
    """The request as the controls stand, knobs in the order of `names`; raises EngineError."""
    source, model, attack, goal, target, label, others, seed, bfloat16, *knobs = values
    classes = zoo.class_names(zoo.card(str(model or ""), weights))
    if goal == ONE and not target:
        raise BadTask("There is no target class.", "Choose the class that the model should see.")
    if not isinstance(seed, int | float) or not 0 <= seed < MOST_SEED or seed != int(seed):
        raise BadTask("The seed must be a whole number from 0.", "Type, for instance, 0.")
    if not source:
        raise BadImage("There is no picture.", "Choose one of the samples or bring your own.")
    return Request(
        image=pictures.read(str(source)),
        name=pictures.file_of(str(source)),
        model=str(model),
        recipe=controls.chosen(str(attack), dict(zip(names, knobs, strict=True))),
        label=None if label == SELF else class_index(classes, str(label)),
        target=class_index(classes, str(target)) if goal == ONE else None,
        seed=int(seed),
        others=_shown_to(others),
        weights=weights,
        craft_on=(BFloat16(),) if bfloat16 else None,
        stranger=stranger(str(source), str(model), weights),
    )


def _shown_to(others: Any) -> tuple[str, ...]:
    """The models to show a result to, each once; raises BadTask."""
    names = tuple(dict.fromkeys(str(each) for each in others or ()))
    if len(names) > MOST_OTHERS:
        raise BadTask(
            f"A result can be shown to {MOST_OTHERS} other models at most.", "Choose fewer."
        )
    return names


def picture(start: Request | None) -> dict[str, Any]:
    """Samples, and a place for a picture of one's own; the first sample is chosen."""
    first = pictures.first()
    return {
        "source": hidden("source", first),
        "strip": gr.HTML(
            pictures.strip(first.removeprefix(pictures.SAMPLE)),
            html_template='<div class="strip" role="group" aria-label="Samples">${value}</div>',
            js_on_load=PICK,
            elem_id="strip",
        ),
        "picture": gr.Image(
            start.image if start else None,
            format="png",
            type="filepath",
            show_label=False,
            sources=["upload", "clipboard", "webcam"],
            buttons=[],
            height=76,
            alt_text="The picture under attack",
            placeholder="Drop a picture here, or click to upload",
            elem_id="picture",
        ),
    }


def hidden(name: str, value: str = "") -> gr.Textbox:
    """A value that lives in the page, so that nothing of it need be kept here."""
    return gr.Textbox(value, visible="hidden", elem_id=f"lab-{name}", container=False)


def _knows(source: str, model: str, weights: Path | None) -> dict[str, Any]:
    return {
        "knows": gr.HTML(knows(source, model, weights), elem_id="knows"),
        "imagenet": gr.Button("", visible=False, size="sm", elem_id="imagenet"),
    }


def _model(model: str, weights: Path | None) -> dict[str, Any]:
    return {
        "model": gr.Dropdown(
            models.choices(weights),
            value=model,
            label="Model (or any timm name)",
            allow_custom_value=True,
            elem_id="model",
        ),
        "card": gr.HTML(models.card(model, weights), elem_id="model-card"),
    }


def _goal(attack: Recipe, names: list[str]) -> dict[str, Any]:
    return {
        "attack": gr.Dropdown(
            [(each.title, each.name) for each in RECIPES],
            value=attack.name,
            label="Attack",
            elem_id="attack",
        ),
        "before": hidden("before", attack.name),
        "goal": gr.Radio([ANY, ONE], value=ANY, label="Make the model see", elem_id="goal"),
        "target": gr.Dropdown(
            names,
            value=None,
            label="Target class",
            visible=False,
            interactive=True,
            elem_id="target",
        ),
    }


def _actions() -> dict[str, Any]:
    with gr.Column(elem_id="press"):
        with gr.Row(elem_id="actions"):
            buttons = {
                "run": gr.Button("Run", variant="primary", elem_id="run", min_width=64, scale=2),
                "step": gr.Button("Step", elem_id="step", min_width=64),
                "stop": gr.Button("Stop", elem_id="stop", min_width=64),
            }
        line = gr.HTML(
            status.line(status.EMPTY),
            html_template='<div role="status" aria-live="polite">${value}</div>',
            elem_id="status",
        )
    return buttons | {"status": line}


def _folded(
    names: list[str], others: list[tuple[str, str]], shown_to: list[str], wanted: list[str]
) -> dict[str, Any]:
    return {
        "label": gr.Dropdown(
            [SELF, *names], value=SELF, label="True class", interactive=True, elem_id="label"
        ),
        "others": gr.Dropdown(
            others,
            value=shown_to,
            multiselect=True,
            label="Also show the result to",
            info="Does it fool models that the attack never saw?",
            interactive=True,
            elem_id="others",
        ),
        "wanted": gr.JSON(wanted, visible="hidden", elem_id="lab-wanted"),
        "seed": gr.Number(0, precision=0, label="Seed", elem_id="seed"),
        "bfloat16": gr.Checkbox(
            is_fast(device()),
            label="Craft in bfloat16",
            info="Faster where the hardware has it; everything shown is measured in float32.",
            elem_id="bfloat16",
        ),
        "hub": gr.HTML("", elem_id="hub-note"),
        "reset": gr.Button("Reset", size="sm", elem_id="reset"),
    }
