"""The recipe column: picture, model, goal and knobs, and the request they stand for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from demo.kit import controls, goal, models, panel, picture, strip
from demo.kit.events import hidden
from demo.kit.knows import knows
from demo.kit.panel import Panel
from demo.kit.picture import Picture, stranger
from demo.kit.store import Values
from demo.lab import stack
from engine.attack.catalog import BY_NAME, RECIPES
from engine.attack.recipe import Recipe
from engine.core.errors import BadTask
from engine.core.knobs import knobs as knobs_of
from engine.data.labels import class_index
from engine.model import zoo
from engine.studio import Request

ANY, ONE = "anything else", "a class I choose"
MOST_OTHERS = 16
KNOB = "knob-"


@dataclass(frozen=True)
class Column(Panel):
    """The column's controls, and what is said between them. `before` remembers which attack's knobs
    are shown, `wanted` to which models the visitor wants results shown, also while some cannot be."""

    card: gr.HTML
    knows: gr.HTML
    imagenet: gr.Button
    before: gr.Textbox
    hint: gr.HTML
    sentence: gr.HTML
    wanted: gr.JSON
    hub: gr.HTML
    reset: gr.Button

    @property
    def knobs(self) -> dict[str, Any]:
        """The controls of all attacks' knobs, by the knob's name."""
        return {
            name.removeprefix(KNOB): c for name, c in self.controls.items() if name.startswith(KNOB)
        }


def make(start: Request | None, weights: Path | None) -> Column:
    """The column in the current layout, set to the request `start`."""
    model = start.model if start else zoo.cards(weights)[0].name
    attack = start.recipe if start else RECIPES[0]()
    brought = strip.make()
    known = gr.HTML(knows(picture.first(), model, weights), elem_id="knows")
    imagenet = gr.Button("", visible=False, size="sm", elem_id="imagenet")
    asked: dict[str, Any] = {"model": _model(model, weights)}
    card = gr.HTML(models.card(model, weights), elem_id="model-card")
    asked["alter"] = stack.chooser()
    with gr.Row(elem_id="alter-knobs"):
        asked |= stack.settings(main=True)
    asked |= _goal(attack, models.classes(model, weights))
    before = hidden("before", attack.name)
    with gr.Row(elem_id="budget"):
        main = controls.make(True, attack)
    hint = gr.HTML("", elem_id="hint")
    with gr.Column(elem_id="press"):
        actions = panel.actions(step=True)
    sentence = gr.HTML(elem_id="sentence")
    with gr.Accordion("More", open=False, elem_id="more"):
        folded = controls.make(False, attack)
        shown_to = list(start.others) if start else []
        asked |= _folded(model, shown_to, weights) | stack.settings(main=False)
        wanted = gr.JSON([model, *shown_to], visible="hidden", elem_id="lab-wanted")
        hub = gr.HTML("", elem_id="hub-note")
        reset = gr.Button("Reset", size="sm", elem_id="reset")
    asked |= {KNOB + name: control for name, control in (main | folded).items()}
    return Column(
        asked, actions, brought, card, known, imagenet, before, hint, sentence, wanted, hub, reset
    )


def request(weights: Path | None, values: Values) -> Request:
    """The request as the controls stand; raises EngineError."""
    model, target = str(values["model"] or ""), values["target"]
    classes = zoo.class_names(zoo.card(model, weights))
    if values["goal"] == ONE and not target:
        raise BadTask("There is no target class.", "Choose the class that the model should see.")
    brought = Picture.of(values["source"])
    return Request(
        image=brought.image,
        name=brought.name,
        model=model,
        recipe=recipe(values),
        label=goal.label(values["label"], model, weights),
        target=class_index(classes, str(target)) if values["goal"] == ONE else None,
        seed=goal.seed(values["seed"]),
        others=_shown_to(values["others"]),
        weights=weights,
        alter=stack.judged(values),
        craft_on=stack.crafted(values),
        stranger=stranger(brought.source, model, weights),
    )


def recipe(values: Values) -> Recipe:
    """The attack as the controls stand; raises BadKnob, UnknownName."""
    return controls.chosen(str(values["attack"]), knobs(values))


def begins(wanted: list[str], weights: Path | None, changes: Values) -> Values:
    """What stands differently at first where another attack or model is chosen: the attack's knobs, and
    which of the models that are `wanted` the result can be shown to."""
    found: dict[str, Any] = {}
    if kind := BY_NAME.get(str(changes.get("attack"))):
        found = {KNOB + k.name: controls.to_control(k, k.default) for k in knobs_of(kind)}
    if {"model", "alter"} & set(changes):
        model = str(changes.get("model", wanted[0]))
        offered = models.others(model, weights, bool(changes.get("alter")))
        found["others"] = [name for _, name in offered if name in wanted and name != model]
    return found


def attack_of(values: Values) -> str:
    """The attack whose knobs are shown."""
    return str(values["attack"])


def wanted(values: Values) -> list[str]:
    """The models that the visitor wants results shown to, the attacked one among them."""
    return [str(values["model"]), *map(str, values["others"] or ())]


def knobs(values: Values) -> dict[str, Any]:
    """How the knobs' controls stand, by the knob's name."""
    return {name.removeprefix(KNOB): each for name, each in values.items() if name.startswith(KNOB)}


def _shown_to(others: Any) -> tuple[str, ...]:
    """The models to show a result to, each once; raises BadTask."""
    names = tuple(dict.fromkeys(str(each) for each in others or ()))
    if len(names) > MOST_OTHERS:
        raise BadTask(
            f"A result can be shown to {MOST_OTHERS} other models at most.", "Choose fewer."
        )
    return names


def _model(model: str, weights: Path | None) -> gr.Dropdown:
    return gr.Dropdown(
        models.choices(weights),
        value=model,
        label="Model (or any timm name)",
        allow_custom_value=True,
        elem_id="model",
    )


def _goal(attack: Recipe, names: list[str]) -> dict[str, Any]:
    return {
        "attack": gr.Dropdown(
            [(each.title, each.name) for each in RECIPES],
            value=attack.name,
            label="Attack",
            elem_id="attack",
        ),
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


def _folded(model: str, shown_to: list[str], weights: Path | None) -> dict[str, Any]:
    return {
        "label": goal.label_control(model, weights),
        "others": gr.Dropdown(
            models.others(model, weights),
            value=shown_to,
            multiselect=True,
            label="Also show the result to",
            info="Does it fool models that the attack never saw?",
            interactive=True,
            elem_id="others",
        ),
        "seed": goal.seed_control(),
        "craft_on": stack.crafting(),
    }
