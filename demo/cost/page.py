"""What stands on the Cost page and what happens there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from demo.cost import first
from demo.cost.message import message, working
from demo.cost.sections import sections
from demo.cost.trial import (
    ABSOLUTE,
    CALIBRATE,
    EPS,
    PATIENCE_SECONDS,
    STEPS,
    Trial,
    attacks,
    chosen,
    drive,
    question,
)
from demo.kit import models, panel, plots, rooms, status, strip
from demo.kit.door import RESTORE, Doing, Door, Note, Pace, Shared, Sights
from demo.kit.events import QUICK
from demo.kit.frame import said_frame, unseen, view_frame
from demo.kit.loading import Loading
from demo.kit.panel import Panel, header
from demo.kit.scripts import on_load
from demo.kit.sections import updates
from engine.core.errors import EngineError
from engine.evaluate.progress import Progress
from engine.model import zoo
from engine.papers.quant.compare import Report, Working
from engine.papers.quant.paper import UNIVERSAL
from engine.papers.quant.threshold import PUBLISHED, SHARE, is_calibrated

LEAD = "An int8 model runs outliers in 16 bits. An attack makes outliers: the answer stays, the bill grows."
MOST_STEPS = {"pgd": 200}


def page(shared: Shared) -> None:
    """The Cost page, in the current Blocks context."""
    header("Cost", LEAD, rooms.COST.switch(rooms.OUTLIERS))
    weights = shared.weights
    earlier, said = at_first(weights)
    with gr.Row(elem_id="cost"):
        with gr.Column(elem_id="recipe"):
            made, card = _controls(weights, said)
        with gr.Column(elem_id="bill"):
            board, parts = _bill(earlier)
    chosen_now = unseen(on_load("choose(props, watch)"), "cost-chosen")
    note = Note([chosen_now], lambda _, values: [json.dumps(chosen(values, weights))])
    door = Door[Trial](shared, made, board, note=note)
    door.opens(lambda place, values: Trial(question(values, weights), place=place), stages)
    _follow_choices(made, card, weights)
    _follow_report(door, board, parts)


def at_first(weights: Path | None) -> tuple[dict[str, Any] | None, str]:
    """What stands there before anyone presses Run, and what the line beside the button says of it."""
    try:
        earlier = first.stored(weights)
    except EngineError as problem:
        return None, status.error(problem)
    return earlier, status.line(status.EARLIER if earlier else status.EMPTY)


def _controls(weights: Path | None, said: str) -> tuple[Panel, gr.HTML]:
    here = {each.name for each in zoo.cards(weights) if zoo.available(each) == "here"}
    offered = [(title, name) for title, name in models.choices(weights) if name in here]
    model = offered[0][1] if offered else ""
    by_share = _by_share(model, weights)
    brought = strip.make()
    asked: dict[str, Any] = {
        "model": gr.Dropdown(
            offered, value=model or None, label="Model, to be run in int8", elem_id="model"
        )
    }
    card = gr.HTML(models.card(model, weights) if model else "", elem_id="model-card")
    asked["attack"] = gr.Dropdown(
        attacks(model), value="count", label="Attack", interactive=True, elem_id="attack"
    )
    with gr.Row(elem_id="budget"):
        asked["eps"] = gr.Slider(
            0, 32, EPS, step=1, label="Eps (n/255)", interactive=True, elem_id="knob-eps"
        )
        asked["steps"] = gr.Slider(
            1, 300, STEPS, step=1, label="Steps", interactive=True, elem_id="knob-steps"
        )
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
    return Panel(asked, actions, brought), card


def _by_share(model: str, weights: Path | None) -> bool:
    """Where no model is here the page still opens."""
    return not model or is_calibrated(zoo.card(model, weights))


def _bill(earlier: dict[str, Any] | None) -> tuple[gr.HTML, list[Any]]:
    """The board, whose value is the latest message, and the sections beside the linked views."""
    board = _view("board", on_load("board(element, props, watch)"), earlier)
    spent, spent_plot, grown, grown_plot, mended, told, told_plot = sections(earlier)
    with gr.Row(elem_classes="cost-two"):
        with gr.Column():
            _view("price", on_load("mount('price', element)"))
        with gr.Column():
            parts: list[Any] = [_said("time", spent), plots.plot(spent_plot, "cost-times")]
    with gr.Row(elem_classes="cost-two"):
        with gr.Column():
            _view("batch", on_load("mount('batch', element)"))
        with gr.Column():
            parts += [_said("path", grown), plots.plot(grown_plot, "cost-growth")]
    parts += [_said("defence", mended), _said("detect", told), plots.plot(told_plot, "cost-roc")]
    return board, parts


def _view(name: str, script: str, value: Any = None) -> gr.HTML:
    return view_frame(f'data-state="run" data-part="{name}"', script, f"cost-{name}", value)


def _said(name: str, words: str) -> gr.HTML:
    return said_frame(words, f'data-state="run" data-part="{name}"', f"cost-{name}")


def _follow_choices(made: Panel, card: gr.HTML, weights: Path | None) -> None:
    """What one choice changes in the others."""

    def look(model: str, attack: str) -> Any:
        try:
            by_share = _by_share(model, weights)
        except EngineError as problem:
            return gr.skip(), gr.skip(), gr.skip(), gr.skip(), gr.skip(), status.error(problem)
        offered = attacks(model)
        kept = attack if attack in {name for _, name in offered} else "count"
        return (
            models.card(model, weights),
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
    told = [card, attack, how, *either, made.actions.status]
    model.change(look, [model, attack], told, preprocess=False, **QUICK)
    attack.change(aim, attack, [made["eps"], made["steps"]], preprocess=False, **QUICK)
    how.input(set_by, how, either, preprocess=False, **QUICK)


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
    detail = f"step {event.step} of {event.steps}, {event.columns} outlier columns"
    return status.line("Attacking.", "busy", detail=detail, share=event.step / event.steps)


def _ended(trial: Trial, seconds: float) -> str:
    found = trial.report
    if found is None:
        return status.line(status.BEFORE, "done")
    whole = found.times is not None
    return status.ended(trial, seconds, PATIENCE_SECONDS, found.steps, found.asked, whole)
