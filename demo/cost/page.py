"""What stands on the Cost page and what happens there."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from demo.cost import first
from demo.cost.message import RESTORE, message, working
from demo.cost.trial import (
    EPS,
    PATIENCE_SECONDS,
    STEPS,
    UNIVERSAL,
    Ended,
    Trial,
    attacks,
    chosen,
    drive,
    trial,
)
from demo.kit import models, status
from demo.kit.launch import QUICK, SECONDS_BETWEEN_UPDATES, launch
from demo.kit.scripts import on_load
from demo.lab import recipe
from demo.lab.running import TORCH, Loading
from demo.lab.wiring import Lab, picture
from engine.core.errors import EngineError
from engine.evaluate.progress import Progress
from engine.model import zoo
from engine.papers.quant.compare import Report, Working
from engine.papers.quant.threshold import PUBLISHED, SHARE, is_calibrated

LEAD = "An int8 model runs outliers in 16 bits. An attack makes outliers: the answer stays, the bill grows."
CALIBRATE, ABSOLUTE = "by a share of clean columns", "as a number"
MOST_STEPS = {"pgd": 200}
ASKED = ("source", "model", "attack", "eps", "steps", "calibrate", "share", "threshold")


@dataclass(frozen=True)
class Panel:
    """The controls; those named in ASKED make a run."""

    source: gr.Textbox
    strip: gr.HTML
    picture: gr.Image
    model: gr.Dropdown
    card: gr.HTML
    attack: gr.Dropdown
    eps: gr.Slider
    steps: gr.Slider
    calibrate: gr.Radio
    share: gr.Slider
    threshold: gr.Number
    run: gr.Button
    stop: gr.Button
    status: gr.HTML

    @property
    def asked(self) -> list[gr.components.Component]:
        return [getattr(self, name) for name in ASKED]


def page(lab: Lab) -> None:
    """The Cost page, in the current Blocks context."""
    gr.HTML(f"<header><h1>Cost</h1><p>{LEAD}</p></header>", elem_id="title")
    earlier, said = at_first(lab.weights)
    with gr.Row(elem_id="cost"):
        with gr.Column(elem_id="recipe"):
            panel = _controls(lab, said)
        with gr.Column(elem_id="bill"):
            board = _board(earlier)
    picture(panel)
    _choices(lab, panel)
    _chosen(lab, panel)
    make, follow = partial(_make, lab), partial(_follow, lab)
    launch(lab.store, panel, board, make, follow, lambda _: RESTORE, TORCH)


def at_first(weights: Path | None) -> tuple[dict[str, Any] | None, str]:
    """What stands there before anyone presses Run, and what the line beside the button says of it."""
    try:
        earlier = first.stored(weights)
    except EngineError as problem:
        return None, status.error(problem)
    return earlier, status.line(status.EARLIER if earlier else status.EMPTY)


def _controls(lab: Lab, said: str) -> Panel:
    weights = lab.weights
    here = {each.name for each in zoo.cards(weights) if zoo.available(each) == "here"}
    offered = [(title, name) for title, name in models.choices(weights) if name in here]
    first = offered[0][1] if offered else ""
    parts = recipe.picture(lab.warm.job and lab.warm.job.request)
    parts["model"] = gr.Dropdown(
        offered,
        value=first or None,
        label="Model, to be run in int8",
        elem_id="model",
    )
    parts["card"] = gr.HTML(models.card(first, weights) if first else "", elem_id="model-card")
    parts["attack"] = gr.Dropdown(
        attacks(first), value="count", label="Attack", interactive=True, elem_id="attack"
    )
    with gr.Row(elem_id="budget"):
        parts["eps"] = gr.Slider(
            0, 32, EPS, step=1, label="Eps (n/255)", interactive=True, elem_id="knob-eps"
        )
        parts["steps"] = gr.Slider(
            1, 300, STEPS, step=1, label="Steps", interactive=True, elem_id="knob-steps"
        )
    with gr.Row(elem_id="actions"):
        parts["run"] = gr.Button("Run", variant="primary", elem_id="run", min_width=64, scale=2)
        parts["stop"] = gr.Button("Stop", elem_id="stop", min_width=64)
    parts["status"] = gr.HTML(
        said,
        html_template='<div role="status" aria-live="polite">${value}</div>',
        elem_id="status",
    )
    by_share = _by_share(first, weights)
    parts["calibrate"] = gr.Radio(
        [CALIBRATE, ABSOLUTE],
        value=CALIBRATE if by_share else ABSOLUTE,
        label="Outlier threshold",
        info="6.0 as published; a small network has next to no outliers there.",
        elem_id="calibrate",
    )
    parts["share"] = gr.Slider(
        0.1,
        5,
        SHARE * 100,
        step=0.1,
        label="Clean columns that are outliers (%)",
        visible=by_share,
        interactive=True,
        elem_id="knob-share",
    )
    parts["threshold"] = gr.Number(
        PUBLISHED,
        label="Inputs of at least this size leave int8",
        visible=not by_share,
        interactive=True,
        elem_id="knob-threshold",
    )
    return Panel(**parts)


def _by_share(model: str, weights: Path | None) -> bool:
    """Where no model is here the page still opens."""
    return not model or is_calibrated(zoo.card(model, weights))


def _board(first: dict[str, Any] | None) -> gr.HTML:
    """All views: a constant frame that `cost.js` fills from each message."""
    return gr.HTML(
        first,
        html_template='<section class="lab-view" data-view="cost"></section>',
        css_template="",
        js_on_load=on_load("see(element, props, watch)"),
        apply_default_css=False,
        elem_id="lab-cost",
    )


def _choices(lab: Lab, panel: Panel) -> None:
    """What one choice changes in the others."""

    def look(model: str, attack: str) -> Any:
        try:
            by_share = _by_share(model, lab.weights)
        except EngineError as problem:
            return gr.skip(), gr.skip(), gr.skip(), gr.skip(), gr.skip(), status.error(problem)
        offered = attacks(model)
        kept = attack if attack in {name for _, name in offered} else "count"
        return (
            models.card(model, lab.weights),
            gr.update(choices=offered, value=kept),
            CALIBRATE if by_share else ABSOLUTE,
            gr.update(visible=by_share),
            gr.update(visible=not by_share),
            gr.skip(),
        )

    def aim(attack: str) -> Any:
        own = attack != UNIVERSAL
        return gr.update(visible=own), gr.update(visible=own, maximum=MOST_STEPS.get(attack, 300))

    def set_by(chosen: str) -> Any:
        return gr.update(visible=chosen == CALIBRATE), gr.update(visible=chosen == ABSOLUTE)

    told = [panel.card, panel.attack, panel.calibrate, panel.share, panel.threshold, panel.status]
    asked = [panel.model, panel.attack]
    panel.model.change(look, asked, told, preprocess=False, **QUICK)
    panel.attack.change(aim, panel.attack, [panel.eps, panel.steps], preprocess=False, **QUICK)
    panel.calibrate.input(
        set_by, panel.calibrate, [panel.share, panel.threshold], preprocess=False, **QUICK
    )


def _chosen(lab: Lab, panel: Panel) -> None:
    """Tell the board what Run would do now, so that an older report does not pass for its answer."""
    carrier = gr.HTML(
        None,
        html_template="<i hidden></i>",
        css_template="",
        js_on_load=on_load("note(props, watch)"),
        apply_default_css=False,
        visible="hidden",
        elem_id="lab-cost-chosen",
    )

    def say(*values: Any) -> dict[str, str]:
        return chosen(_named(values), lab.weights)

    gr.on(
        [each.change for each in panel.asked],
        say,
        panel.asked,
        carrier,
        preprocess=False,
        trigger_mode="always_last",
        **QUICK,
    )


def _named(values: Sequence[Any]) -> dict[str, Any]:
    named = dict(zip(ASKED, values, strict=True))
    return named | {"calibrate": named["calibrate"] == CALIBRATE}


def _make(lab: Lab, session: str, values: Sequence[Any]) -> Trial:
    return trial(_named(values), lab.weights, session)


def _follow(lab: Lab, asked: Trial) -> Iterator[Any]:
    """The run's events as (board, status), thinned to what an eye can follow."""
    began = told = time.monotonic()
    for event in drive(asked):
        if lab.store.current(asked.session) is not asked:
            return
        now = time.monotonic()
        if isinstance(event, Loading):
            yield working(asked), status.loading(event)
        elif isinstance(event, Report):
            lab.store.grown(asked)
            yield message(asked, event), gr.skip()
        elif isinstance(event, Ended):
            yield RESTORE if asked.report is None else gr.skip(), _ended(asked, now - began)
        elif now - told >= SECONDS_BETWEEN_UPDATES:
            told = now
            yield gr.skip(), _progress(event)


def _progress(event: Progress | Working) -> str:
    if isinstance(event, Working):
        detail = f"step {event.step} of {event.steps}, {event.columns} outlier columns"
        return status.line("Attacking.", "busy", detail=detail, share=event.step / event.steps)
    detail = f"{event.done} of {event.total}" if event.total > 1 else ""
    return status.line(
        f"{event.what.capitalize()}.", "busy", detail=detail, share=event.done / event.total
    )


def _ended(asked: Trial, seconds: float) -> str:
    found = asked.report
    if found is None:
        return status.line("Stopped before it began.", "done")
    if not found.asked:
        return status.line(f"Finished in {seconds:.0f} s: nothing may change at eps 0.", "done")
    done = f"{found.steps} of {found.asked} steps"
    if asked.why == "finished":
        return status.line(f"Finished: all views in {seconds:.0f} s.", "done")
    left_out = "" if found.times else " What was not measured by then is left out."
    if asked.why == "stopped":
        return status.line(f"Stopped after {done}.{left_out}", "done")
    return status.line(
        f"Stopped after {done}: a run may take {PATIENCE_SECONDS:.0f} seconds on this page.{left_out}",
        "done",
        hint="Fewer steps or a smaller model will finish.",
    )
