"""What stands on the Why page and what happens there."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from demo.why.studies import study

from demo.kit import controls, models, pictures, status
from demo.kit.launch import QUICK, launch
from demo.kit.scripts import on_load
from demo.lab import recipe, wiring
from demo.lab.recipe import SELF
from demo.lab.running import TORCH, Loading
from demo.lab.wiring import Lab
from demo.why import first
from demo.why.inquiry import Ended, Inquiry, Question, drive
from demo.why.message import RESTORE, ended, live, opened
from engine.attack.places import COMPONENTS
from engine.attack.recipes.tgr import TGR
from engine.core.errors import BadImage, BadKnob, BadTask
from engine.core.knobs import knobs
from engine.data.labels import class_index
from engine.model import zoo
from engine.model.zoo import Card
from engine.papers.tgr.compare import Case

LEAD = (
    "Token gradient regularisation shrinks gradients by factors and zeroes their extreme tokens. "
    "See which of the two calms them, and which makes an attack fool models it never saw."
)
MOST_STEPS = 40
SECONDS_BETWEEN_UPDATES = 0.4
KNOBS = {each.name: each for each in knobs(TGR)}
ASKED = ("eps", "steps", "k", *COMPONENTS, "site", "mode")


@dataclass(frozen=True)
class Panel:
    """The controls; `asked` is what a question is made of, in the order of `_question`'s values.

    `wanted` are the models the visitor wants results shown to, the source and others that cannot be
    offered now among them: what was chosen comes back.
    """

    source: gr.Textbox
    strip: gr.HTML
    picture: gr.Image
    model: gr.Dropdown
    targets: gr.Dropdown
    wanted: gr.Textbox
    label: gr.Dropdown
    components: gr.CheckboxGroup
    knobs: dict[str, gr.components.Component]
    seed: gr.Number
    run: gr.Button
    stop: gr.Button
    status: gr.HTML

    @property
    def asked(self) -> list[gr.components.Component]:
        aim = [self.source, self.model, self.targets, self.label, self.components, self.seed]
        return [*aim, self.wanted, *(self.knobs[name] for name in ASKED)]


def page(lab: Lab) -> None:
    """The Why page, in the current Blocks context."""
    gr.HTML(f"<header><h1>Why</h1><p>{LEAD}</p></header>", elem_id="title")
    with gr.Row(elem_id="why"):
        with gr.Column(elem_id="recipe"):
            panel = _controls(lab)
        with gr.Column(elem_id="why-see"):
            view = _drawn("why", "see", None, earlier=first.stored(lab.weights))
            known = study(str(panel.model.value or ""), lab.weights)
            stored = _drawn("why-study", "study", known)
    wiring.picture(panel)
    make, follow = partial(_make, lab), partial(_follow, lab)
    launch(lab.store, panel, view, make, follow, lambda _: RESTORE, TORCH)
    _switches(lab, panel, stored)


def _drawn(name: str, mount: str, value: Any, **constant: Any) -> gr.HTML:
    """An empty frame that `why.js` fills from the component's value, and from what is constant."""
    return gr.HTML(
        value,
        html_template=f'<section class="lab-view" data-view="{name}"></section>',
        css_template="",
        js_on_load=on_load(f"{mount}(element, props, watch)"),
        apply_default_css=False,
        elem_id=f"{name}-view",
        **constant,
    )


def _sources(weights: Path | None) -> list[Card]:
    """The models on this machine that an attack can look into and that keep all their tokens."""
    return [
        each
        for each in zoo.cards(weights)
        if zoo.available(each) == "here" and each.task != "sparsify"
    ]


def _controls(lab: Lab) -> Panel:
    weights = lab.weights
    sources = _sources(weights)
    source = sources[0].name if sources else ""
    parts = recipe.picture(lab.warm.job and lab.warm.job.request)
    parts["model"] = gr.Dropdown(
        [(each.title, each.name) for each in sources],
        value=source or None,
        label="Make attacks on",
        elem_id="model",
    )
    parts["wanted"] = recipe.hidden("wanted", " ".join(_usual(weights)))
    parts["knobs"] = {"eps": _slider("eps"), "steps": _slider("steps", maximum=MOST_STEPS)}
    with gr.Row(elem_id="actions"):
        parts["run"] = gr.Button("Run", variant="primary", elem_id="run", min_width=64, scale=2)
        parts["stop"] = gr.Button("Stop", elem_id="stop", min_width=64)
    parts["status"] = gr.HTML(
        status.line(status.EMPTY if first.stored(weights) is None else status.EARLIER),
        html_template='<div role="status" aria-live="polite">${value}</div>',
        elem_id="status",
    )
    parts["targets"] = gr.Dropdown(
        models.others(source, weights),
        value=[name for _, name in models.others(source, weights) if name in _usual(weights)],
        multiselect=True,
        label="Show the results to",
        elem_id="others",
    )
    parts["components"] = gr.CheckboxGroup(
        [("Attention", "attention"), ("QKV", "qkv"), ("MLP", "mlp")],
        value=list(COMPONENTS),
        label="Regularise the gradients of",
        elem_id="components",
    )
    parts["knobs"] |= {
        "k": _slider("k", label="Extreme tokens on each side (k)"),
        **{part: _slider(part) for part in COMPONENTS},
    }
    with gr.Accordion("More", open=False, elem_id="more"):
        parts["knobs"] |= {name: _choice(name) for name in ("site", "mode")}
        parts["label"] = gr.Dropdown(
            [SELF, *models.classes(source, weights)],
            value=SELF,
            label="True class",
            interactive=True,
            elem_id="label",
        )
        parts["seed"] = gr.Number(
            0, precision=0, label="Seed", info="For the random control.", elem_id="seed"
        )
    return Panel(**parts)


def _slider(name: str, **other: Any) -> gr.Slider:
    look = controls.appearance(TGR, name) | {"info": None} | other
    return gr.Slider(**look, interactive=True, elem_id=f"knob-{name}", min_width=120)


def _choice(name: str) -> gr.Radio:
    return gr.Radio(**controls.appearance(TGR, name), interactive=True, elem_id=f"knob-{name}")


def _usual(weights: Path | None) -> list[str]:
    """The classifiers on this machine."""
    return [each.name for each in _sources(weights) if each.task == "classify"]


def _question(weights: Path | None, values: Sequence[Any]) -> Question:
    """What is asked, as the controls stand; raises EngineError."""
    source, model, targets, label, components, seed, _, *settings = values
    if not isinstance(seed, int | float) or not float(seed).is_integer() or seed < 0:
        raise BadTask("The seed must be a whole number from 0.", "Type, for instance, 0.")
    if not source:
        raise BadImage("There is no picture.", "Choose one of the samples or bring your own.")
    if not components:
        raise BadTask("No component is chosen.", "Choose attention, QKV or MLP, or several.")
    card = zoo.card(str(model or ""), weights)
    chosen = [part for part in COMPONENTS if part in components]
    own = {
        name: controls.from_control(KNOBS[name], value)
        for name, value in zip(ASKED, settings, strict=True)
    }
    if own["steps"] > MOST_STEPS:
        raise BadKnob("Steps", own["steps"], f"a whole number from 1 to {MOST_STEPS}")
    return Question(
        image=pictures.read(str(source)),
        picture=Path(str(source).removeprefix(pictures.SAMPLE)).stem,
        source=card.name,
        targets=tuple(str(each) for each in targets or () if each != card.name),
        tgr=TGR(components="all" if len(chosen) == 3 else "+".join(chosen), **own),
        label=None if label == SELF else class_index(zoo.class_names(card), str(label)),
        seed=int(seed),
        weights=weights,
    )


def _make(lab: Lab, session: str, values: Sequence[Any]) -> Inquiry:
    return Inquiry(_question(lab.weights, values), session)


def _switches(lab: Lab, panel: Panel, stored: gr.HTML) -> None:
    """Another source has other classes, other targets and another stored study."""

    def look(model: str, wanted: str) -> Any:
        offered = models.others(model, lab.weights)
        kept = [name for _, name in offered if name in wanted.split()]
        return (
            gr.update(choices=offered, value=kept),
            gr.update(choices=[SELF, *models.classes(model, lab.weights)], value=SELF),
            study(model, lab.weights),
        )

    def want(model: str, targets: list[str] | None, wanted: str) -> str:
        offered = {name for _, name in models.others(model, lab.weights)}
        return " ".join([*(targets or ()), *(set(wanted.split()) - offered)])

    asked, told = [panel.model, panel.wanted], [panel.targets, panel.label, stored]
    panel.model.change(look, asked, told, preprocess=False, **QUICK)
    chosen = [panel.model, panel.targets, panel.wanted]
    panel.targets.input(want, chosen, panel.wanted, preprocess=False, **QUICK)


def _follow(lab: Lab, inquiry: Inquiry) -> Iterator[Any]:
    """The inquiry's events as (view, status), thinned to what an eye can follow."""
    steps = inquiry.question.tgr.steps
    began = shown = time.monotonic()
    rounds = 0
    for event in drive(inquiry):
        if lab.store.current(inquiry.session) is not inquiry:
            return
        now = time.monotonic()
        if isinstance(event, Loading):
            yield gr.skip(), status.loading(event)
        elif isinstance(event, Case):
            began = now
            yield opened(inquiry, event), status.line(status.RUNNING, "busy", share=0)
        elif isinstance(event, Ended):
            lab.store.grown(inquiry)
            yield ended(inquiry, event) if event.answers else RESTORE, _told(inquiry, event)
        elif len(inquiry.rounds) > rounds and now - shown >= SECONDS_BETWEEN_UPDATES:
            shown, rounds = now, len(inquiry.rounds)
            left = (now - began) / rounds * (steps - rounds)
            detail = f"step {rounds} of {steps} of all five, about {left:.0f} s left"
            said = status.line(status.RUNNING, "busy", detail=detail, share=rounds / steps)
            yield live(inquiry), said


def _told(inquiry: Inquiry, event: Ended) -> str:
    """How it ended, in one line."""
    done, steps = len(inquiry.rounds), inquiry.question.tgr.steps
    if not done:
        return status.line("Stopped before the first step was done.", "done")
    if event.why == "finished":
        return status.line(f"Finished: {steps} step{'s' * (steps != 1)} of all five.", "done")
    hint = "" if event.why == "stopped" else "A comparison may take a minute on this machine."
    return status.line(f"Stopped at step {done} of {steps}.", "done", hint=hint, share=done / steps)
