"""What stands on the Why page and what happens there."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from demo.kit import controls, goal, models, panel, plots, rooms, status, strip
from demo.kit.door import RESTORE, Doing, Door, Pace, Shared, Sights
from demo.kit.events import QUICK, hidden
from demo.kit.frame import view_frame
from demo.kit.loading import Loading
from demo.kit.panel import Panel, header
from demo.kit.picture import Picture
from demo.kit.scripts import on_load
from demo.kit.store import Values
from demo.why import charts, first
from demo.why.inquiry import Inquiry, drive
from demo.why.message import ended, live, opened
from engine.attack.places import COMPONENTS
from engine.attack.recipes.tgr import TGR
from engine.core.errors import BadKnob, BadTask
from engine.core.knobs import knobs
from engine.model import zoo
from engine.model.zoo import Card
from engine.papers.paper import Exhibit
from engine.papers.tgr.compare import Comparison
from engine.papers.tgr.gains import BUDGETS, study

LEAD = (
    "Token gradient regularisation shrinks gradients by factors and zeroes their extreme tokens. "
    "See which of the two calms them, and which makes an attack fool models it never saw."
)
MOST_STEPS = 40
SECONDS_BETWEEN_UPDATES = 0.4
KNOBS = {each.name: each for each in knobs(TGR)}
ASKED = ("eps", "steps", "k", *COMPONENTS, "site", "mode")


def page(shared: Shared) -> None:
    """The Why page, in the current Blocks context."""
    header("Why", LEAD, rooms.WHY.switch(rooms.REGULARISED))
    weights = shared.weights
    with gr.Row(elem_id="why"):
        with gr.Column(elem_id="recipe"):
            made = _controls(weights)
        with gr.Column(elem_id="why-see"):
            view = _view(first.stored(weights))
            measured = _measured(str(made["model"].value or ""), weights)
    Door[Inquiry](shared, made, view).opens(partial(_make, weights), stages)
    _switches(made, measured, weights)


def _view(earlier: dict[str, Any] | None) -> gr.HTML:
    """An empty frame that `why.js` fills from the component's value, and from what came earlier."""
    script = on_load("see(element, props, watch)")
    return view_frame('data-view="why"', script, "why-view", earlier=earlier)


def _measured(model: str, weights: Path | None) -> list[Any]:
    """The stored study of a source: words, a chart for each budget, a table."""
    known = study(model)
    with gr.Column(elem_id="why-study"):
        words = gr.HTML(
            charts.words(known, weights), elem_id="why-study-view", apply_default_css=False
        )
        with gr.Row(elem_id="why-gains"):
            plotted = [
                plots.plot(each, f"why-gains-{eps}")
                for eps, each in zip(BUDGETS, charts.figures(known), strict=True)
            ]
        table = gr.HTML(charts.table(known), elem_id="why-gains-table", apply_default_css=False)
    return [words, *plotted, table]


def _sources(weights: Path | None) -> list[Card]:
    """The models on this machine that an attack can look into and that keep all their tokens."""
    return [
        each
        for each in zoo.cards(weights)
        if zoo.available(each) == "here" and each.task != "sparsify"
    ]


def _usual(weights: Path | None) -> list[str]:
    """The classifiers on this machine."""
    return [each.name for each in _sources(weights) if each.task == "classify"]


def _controls(weights: Path | None) -> Panel:
    """`wanted` are the models the visitor wants results shown to, the source and others that cannot
    be offered now among them: what was chosen comes back."""
    sources = _sources(weights)
    source = sources[0].name if sources else ""
    brought = strip.make()
    asked: dict[str, Any] = {
        "model": gr.Dropdown(
            [(each.title, each.name) for each in sources],
            value=source or None,
            label="Make attacks on",
            elem_id="model",
        ),
        "wanted": hidden("wanted", " ".join(_usual(weights))),
        "eps": _slider("eps"),
        "steps": _slider("steps", maximum=MOST_STEPS),
    }
    earlier = first.stored(weights) is not None
    actions = panel.actions(status.line(status.EARLIER if earlier else status.EMPTY))
    offered = models.others(source, weights)
    asked["targets"] = gr.Dropdown(
        offered,
        value=[name for _, name in offered if name in _usual(weights)],
        multiselect=True,
        label="Show the results to",
        elem_id="others",
    )
    asked["components"] = gr.CheckboxGroup(
        [("Attention", "attention"), ("QKV", "qkv"), ("MLP", "mlp")],
        value=list(COMPONENTS),
        label="Regularise the gradients of",
        elem_id="components",
    )
    asked["k"] = _slider("k", label="Extreme tokens on each side (k)")
    asked |= {part: _slider(part) for part in COMPONENTS}
    with gr.Accordion("More", open=False, elem_id="more"):
        asked |= {name: _choice(name) for name in ("site", "mode")}
        asked["label"] = goal.label_control(source, weights)
        asked["seed"] = goal.seed_control("For the random control.")
    return Panel(asked, actions, brought)


def _slider(name: str, **other: Any) -> gr.Slider:
    look: dict[str, Any] = controls.appearance(TGR, name) | {"info": None} | other
    return gr.Slider(**look, interactive=True, elem_id=f"knob-{name}", min_width=120)


def _choice(name: str) -> gr.Radio:
    return gr.Radio(**controls.appearance(TGR, name), interactive=True, elem_id=f"knob-{name}")


def _make(weights: Path | None, place: str, values: Values) -> Inquiry:
    """What is asked, as the controls stand; raises EngineError."""
    seed, picture = goal.seed(values["seed"]), Picture.of(values["source"])
    chosen = [part for part in COMPONENTS if part in (values["components"] or ())]
    if not chosen:
        raise BadTask("No component is chosen.", "Choose attention, QKV or MLP, or several.")
    card = zoo.card(str(values["model"] or ""), weights)
    own = {name: controls.from_control(KNOBS[name], values[name]) for name in ASKED}
    if own["steps"] > MOST_STEPS:
        raise BadKnob("Steps", own["steps"], f"a whole number from 1 to {MOST_STEPS}")
    exhibit = Exhibit(
        picture.image,
        Path(picture.name).stem,
        card.name,
        tuple(str(each) for each in values["targets"] or ()),
        goal.label(values["label"], card.name, weights),
        seed,
        weights,
    )
    tgr = TGR(components="all" if len(chosen) == len(COMPONENTS) else "+".join(chosen), **own)
    return Inquiry(exhibit, tgr, place=place)


def stages(inquiry: Inquiry) -> Iterator[Doing]:
    """What must be done for a comparison."""
    yield "torch", _follow(inquiry)


def _follow(inquiry: Inquiry) -> Sights:
    """What happens in a comparison, thinned to what an eye can follow."""
    steps, pace, rounds = inquiry.tgr.steps, Pace(), 0
    for event in drive(inquiry):
        if isinstance(event, Loading):
            yield None, status.loading(event)
        elif isinstance(event, Comparison):
            pace = Pace(SECONDS_BETWEEN_UPDATES)
            yield opened(inquiry, event), status.line(status.RUNNING, "busy", share=0)
        elif inquiry.found is not None and inquiry.rounds > rounds and pace.due:
            rounds = inquiry.rounds
            left = pace.left(rounds, steps)
            said = status.stepped(rounds, steps, left, of="all five")
            yield live(inquiry, inquiry.found), said
    found = inquiry.found
    yield ended(inquiry, found) if found and found.answers else RESTORE, _told(inquiry)


def _told(inquiry: Inquiry) -> str:
    """How it ended, in one line."""
    done, steps = inquiry.rounds, inquiry.tgr.steps
    if not done:
        return status.line("Stopped before the first step was done.", "done")
    if inquiry.why == "finished":
        return status.line(f"Finished: {steps} step{'s' * (steps != 1)} of all five.", "done")
    hint = "" if inquiry.why == "stopped" else "A comparison may take a minute on this machine."
    return status.line(f"Stopped at step {done} of {steps}.", "done", hint=hint, share=done / steps)


def _switches(made: Panel, measured: list[Any], weights: Path | None) -> None:
    """Another source has other classes, other targets and another stored study."""

    def look(model: str, wanted: str) -> Any:
        offered = models.others(model, weights)
        kept = [name for _, name in offered if name in wanted.split()]
        known = study(model)
        plotted = (
            gr.update(value=each, visible=each is not None) for each in charts.figures(known)
        )
        return (
            gr.update(choices=offered, value=kept),
            gr.update(choices=goal.labels(model, weights), value=goal.SELF),
            charts.words(known, weights),
            *plotted,
            charts.table(known),
        )

    def want(model: str, targets: list[str] | None, wanted: str) -> str:
        offered = {name for _, name in models.others(model, weights)}
        return " ".join([*(targets or ()), *(set(wanted.split()) - offered)])

    asked, told = [made["model"], made["wanted"]], [made["targets"], made["label"], *measured]
    made["model"].change(look, asked, told, preprocess=False, **QUICK)
    chosen = [made["model"], made["targets"], made["wanted"]]
    made["targets"].input(want, chosen, made["wanted"], preprocess=False, **QUICK)
