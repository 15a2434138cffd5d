"""What one choice of a visitor changes elsewhere on the Lab page.

Handlers get raw values (`preprocess=False`), so that whatever is wrong with them is said by the
engine, in its words.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from demo.kit import controls, goal, models, picture
from demo.kit.events import PRIVATE, QUICK, RESET
from demo.kit.knows import few, knows
from demo.kit.picture import stranger
from demo.kit.store import Values
from demo.lab import stack, words
from demo.lab.recipe import KNOB, ONE, Column, knobs
from engine.attack.catalog import BY_NAME
from engine.model import hub, zoo


def follow_model(column: Column, weights: Path | None) -> None:
    """Another model has other classes, and can be compared with others; an altered one has knobs."""

    def look(
        model: str, alter: list[str] | None, wanted: list[str] | None, target: Any, label: Any
    ) -> Any:
        classes, labels = models.classes(model, weights), goal.labels(model, weights)
        others = models.others(model, weights, bool(alter))
        kept = [name for _, name in others if name in (wanted or ()) and name != model]
        return (
            models.card(model, weights, bool(alter)),
            gr.update(choices=classes, value=target if target in classes else None),
            gr.update(choices=labels, value=label if label in labels else goal.SELF),
            gr.update(choices=others, value=kept),
        )

    def want(
        now: list[str] | None, wanted: list[str] | None, model: str, alter: list[str] | None
    ) -> list[str]:
        offered = {name for _, name in models.others(model, weights, bool(alter))}
        return [*(now or ()), *(name for name in wanted or () if name not in offered)]

    def knobs(alter: list[str] | None, craft_on: Any) -> list[Any]:
        return [gr.update(**look) for look in stack.looks(alter, craft_on).values()]

    model, alter, craft_on = (column[name] for name in ("model", "alter", "craft_on"))
    target, label, others = (column[name] for name in ("target", "label", "others"))
    asked = [model, alter, column.wanted, target, label]
    for each in (model, alter):
        each.change(look, asked, [column.card, target, label, others], preprocess=False, **QUICK)
    chosen = [others, column.wanted, model, alter]
    others.input(want, chosen, column.wanted, preprocess=False, **QUICK)
    own = [column[name] for name in stack.KNOBS]
    for each in (alter, craft_on):
        each.input(knobs, [alter, craft_on], own, preprocess=False, **QUICK)


def follow_attack(column: Column) -> None:
    """Another attack has other knobs; a chosen class has a name."""
    names, shown = list(column.knobs), list(column.knobs.values())

    def switch(before: str, after: str, *values: Any) -> Any:
        # A browser may tell of one choice twice; the second time nothing is left to change.
        if before == after or after not in BY_NAME:
            return [gr.skip()] * (1 + len(names))
        looks = controls.switched(before, after, names, values)
        return [after, *(gr.update(**look) for look in looks)]

    def aim(chosen: str) -> Any:
        return gr.update(visible=chosen == ONE)

    asked = [column.before, column["attack"], *shown]
    column["attack"].input(switch, asked, [column.before, *shown], preprocess=False, **QUICK)
    column["goal"].input(aim, column["goal"], column["target"], **QUICK)


def say_goal(column: Column, weights: Path | None) -> list[Any]:
    """The goal in one sentence; gives what it is made of."""
    said = [column[name] for name in words.SAID]
    for each in said:
        each.change(None, said, column.sentence, js=words.sentence(weights), **PRIVATE)
    return said


def acquaint(column: Column, weights: Path | None) -> None:
    """What the model can know of the picture; where that is little, a model that knows more."""

    def tell(source: str, model: str, alter: list[str] | None) -> Any:
        return knows(source, model, weights, bool(alter)), gr.update(visible=False)

    def offer(source: str, model: str, alter: list[str] | None) -> Any:
        wanted = few(model, weights) and (
            picture.sample(source) is None or bool(stranger(source, model, weights))
        )
        found = _larger(weights) if wanted else None
        return (
            gr.update(visible=False) if found is None else gr.update(value=found[1], visible=True)
        )

    def take() -> Any:
        found = _larger(weights)
        return gr.skip() if found is None else found[0]

    asked = [column["source"], column["model"], column["alter"]]
    told = [column.knows, column.imagenet]
    for each in asked:
        known = each.change(tell, asked, told, preprocess=False, **QUICK)
        known.then(offer, asked, column.imagenet, preprocess=False, **QUICK)
    column.imagenet.click(take, None, column["model"], **QUICK)


def _larger(weights: Path | None) -> tuple[str, str] | None:
    return models.imagenet(weights, hub.reachable())


def offer_models(app: gr.Blocks, column: Column, weights: Path | None) -> None:
    """Who comes is offered what can be had now: asking the hub takes a while."""

    def offer() -> Any:
        there = hub.reachable()
        notes = (models.hub_note(weights, there), *zoo.problems(weights))
        told = "".join(f"<p>{escape(each)}</p>" for each in notes if each)
        return gr.update(choices=models.choices(weights, there)), told

    shown = [column["model"], column.hub]
    app.load(offer, None, shown, concurrency_limit=None, **PRIVATE)
    column.reset.click(None, js=RESET, **PRIVATE)


def put_back(values: Values, weights: Path | None) -> dict[str, Any]:
    """How controls look with these values, where choices and knobs go with them."""
    model, kind = str(values["model"]), BY_NAME[str(values["attack"])]
    choices: dict[str, dict[str, Any]] = {
        "target": {"choices": models.classes(model, weights), "visible": values["goal"] == ONE},
        "label": {"choices": goal.labels(model, weights)},
        "others": {"choices": models.others(model, weights, bool(values["alter"]))},
        **stack.looks(values["alter"], values["craft_on"]),
    }
    looks = {name: gr.update(value=values[name], **look) for name, look in choices.items()}
    for name, value in knobs(values).items():
        look = controls.appearance(kind, name)
        value = value if look["visible"] else look.get("value", value)
        looks[KNOB + name] = gr.update(**(look | {"value": value}))
    return looks
