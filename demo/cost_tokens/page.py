"""What stands in the tokens room of Cost and what happens there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from demo.cost_tokens import first
from demo.cost_tokens.message import message, working
from demo.cost_tokens.sections import sections
from demo.cost_tokens.trial import (
    BUDGETED,
    EPS,
    PATIENCE_SECONDS,
    STEPS,
    Trial,
    attacks,
    card,
    chosen,
    drive,
    offered,
    question,
)
from demo.kit import panel, plots, rooms, status, strip
from demo.kit.door import RESTORE, Doing, Door, Note, Pace, Shared, Sights
from demo.kit.events import QUICK
from demo.kit.frame import said_frame, unseen, view_frame
from demo.kit.loading import Loading
from demo.kit.panel import Panel, header
from demo.kit.scripts import on_load
from demo.kit.sections import updates
from engine.attack.recipes.desparsify import DeSparsify
from engine.attack.universal import KINDS
from engine.core.errors import EngineError
from engine.evaluate.progress import Progress
from engine.papers.desparsify.compare import Report, Working

LEAD = "A sparse ViT lets tokens sleep. An attack wakes them: the answer stays, the bill grows."


def page(shared: Shared) -> None:
    """The room, in the current Blocks context; its frame is that of the other room of Cost."""
    header("Cost", LEAD, rooms.COST.switch(rooms.TOKENS))
    weights = shared.weights
    earlier, said = at_first(weights)
    with gr.Row(elem_id="cost"):
        with gr.Column(elem_id="recipe"):
            made, about = _controls(weights, said)
        with gr.Column(elem_id="bill"):
            board, parts = _bill(earlier)
    chosen_now = unseen(on_load("choose(props, watch)"), "tokens-chosen")
    note = Note([chosen_now], lambda _, values: [json.dumps(chosen(values, weights))])
    door = Door[Trial](shared, made, board, note=note)
    door.opens(lambda place, values: Trial(question(values, weights), place=place), stages)
    _follow_choices(made, about, weights)
    _follow_report(door, board, parts)


def at_first(weights: Path | None) -> tuple[dict[str, Any] | None, str]:
    """What stands there before anyone presses Run, and what the line beside the button says of it."""
    try:
        earlier = first.stored(weights)
    except EngineError as problem:
        return None, status.error(problem)
    return earlier, status.line(status.EARLIER if earlier else status.EMPTY)


def _controls(weights: Path | None, said: str) -> tuple[Panel, gr.HTML]:
    models = offered(weights)
    model = models[0][1] if models else ""
    brought = strip.make()
    asked: dict[str, Any] = {
        "model": gr.Dropdown(
            models, value=model or None, label="Model that loses tokens", elem_id="model"
        )
    }
    about = gr.HTML(card(model, weights) if model else "", elem_id="model-card")
    asked["attack"] = gr.Dropdown(
        attacks(model, weights) if model else [],
        value=DeSparsify.name,
        label="Attack",
        interactive=True,
        elem_id="attack",
    )
    with gr.Row(elem_id="budget"):
        asked["eps"] = gr.Slider(
            0, 32, EPS, step=1, label="Eps (n/255)", interactive=True, elem_id="knob-eps"
        )
        asked["steps"] = gr.Slider(
            1, 300, STEPS, step=1, label="Steps", interactive=True, elem_id="knob-steps"
        )
    asked["keep"] = gr.Checkbox(
        True, label="Keep the answer, so that nobody notices", elem_id="knob-keep"
    )
    return Panel(asked, panel.actions(said), brought), about


def _bill(earlier: dict[str, Any] | None) -> tuple[gr.HTML, list[Any]]:
    """The board, whose value is the latest message, and the sections beside the linked views."""
    board = _view("board", on_load("board(element, props, watch)"), earlier)
    spent, spent_plot, bound, bound_plot, told, told_plot, curve, curve_plot = sections(earlier)
    with gr.Row(elem_classes="cost-two"):
        with gr.Column():
            _view("price", on_load("mount('price', element)"))
        with gr.Column():
            parts: list[Any] = [_said("time", spent), plots.plot(spent_plot, "tokens-times")]
    with gr.Row(elem_classes="cost-two"):
        with gr.Column():
            _view("elsewhere", on_load("mount('elsewhere', element)"))
        with gr.Column():
            _view("batch", on_load("mount('batch', element)"))
    _view("defence", on_load("mount('defence', element)"))
    with gr.Row(elem_classes="cost-two"):
        with gr.Column():
            parts += [_said("bounds", bound), plots.plot(bound_plot, "tokens-bounds-plot")]
        with gr.Column():
            parts += [_said("detect", told), plots.plot(told_plot, "tokens-roc")]
    parts += [_said("curve", curve), plots.plot(curve_plot, "tokens-gap")]
    return board, parts


def _view(name: str, script: str, value: Any = None) -> gr.HTML:
    return view_frame(f'data-state="run" data-part="{name}"', script, f"tokens-{name}", value)


def _said(name: str, words: str) -> gr.HTML:
    return said_frame(words, f'data-state="run" data-part="{name}"', f"tokens-{name}")


def _follow_choices(made: Panel, about: gr.HTML, weights: Path | None) -> None:
    """What one choice changes in the others."""

    def look(model: str, attack: str) -> Any:
        try:
            choices = attacks(model, weights)
            kept = attack if attack in {name for _, name in choices} else DeSparsify.name
            return card(model, weights), gr.update(choices=choices, value=kept), gr.skip()
        except EngineError as problem:
            return gr.skip(), gr.skip(), status.error(problem)

    def aim(attack: str) -> Any:
        shown = attack in BUDGETED, attack not in KINDS, attack == DeSparsify.name
        return [gr.update(visible=each) for each in shown]

    model, attack = made["model"], made["attack"]
    budget = [made["eps"], made["steps"], made["keep"]]
    told = [about, attack, made.actions.status]
    model.change(look, [model, attack], told, preprocess=False, **QUICK)
    attack.change(aim, attack, budget, preprocess=False, **QUICK)


def _follow_report(door: Door[Trial], board: gr.HTML, parts: list[Any]) -> None:
    """Whenever the board has a new report, the sections beside it are of that one."""

    def told(visitor: gr.Request, visit: str) -> Any:
        trial = door.store.current(door.place(visit, visitor))
        if not isinstance(trial, Trial) or trial.told is None:
            return [gr.skip()] * len(parts)
        return updates(parts, sections(trial.told))

    board.change(told, door.visit, parts, **QUICK)


def stages(trial: Trial) -> Iterator[Doing]:
    """What must be done for a run."""
    yield "torch", _follow(trial)


def _follow(trial: Trial) -> Sights:
    """What happens in a run, thinned to what an eye can follow."""
    pace = Pace()
    for event in drive(trial):
        if isinstance(event, Loading):
            yield working(trial), status.loading(event)
        elif isinstance(event, Report):
            trial.told = message(trial, event)
            yield trial.told, None
        elif pace.due:
            yield None, _progress(event)
    yield RESTORE if trial.report is None else None, _ended(trial, pace.spent)


def _progress(event: Progress | Working) -> str:
    if not isinstance(event, Working):
        return status.progress(event)
    detail = f"step {event.step} of {event.steps}, {event.macs / 1e9:.2f} GMACs"
    return status.line("Attacking.", "busy", detail=detail, share=event.step / event.steps)


def _ended(trial: Trial, seconds: float) -> str:
    found = trial.report
    if found is None:
        return status.line(status.BEFORE, "done")
    whole = found.times is not None
    return status.ended(trial, seconds, PATIENCE_SECONDS, found.steps, found.asked, whole)
