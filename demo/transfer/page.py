"""What stands on the Transfer page and what happens there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from demo.kit import controls, status
from demo.kit.launch import PRIVATE, SECONDS_BETWEEN_UPDATES, launch
from demo.kit.scripts import on_load
from demo.lab.running import Loading
from demo.lab.wiring import Lab
from demo.transfer import first, labelled
from demo.transfer.labelled import MOST_PICTURES, Labelled
from demo.transfer.message import DONE, attack, frame, message, shorts
from demo.transfer.trial import ATTACKS, SHARED, Ended, Trial, at_one_budget, drive, experiment
from demo.why import studies
from engine.attack.recipes.mifgsm import MIFGSM
from engine.attack.recipes.tgr import TGR
from engine.core.errors import BadTask, EngineError
from engine.evaluate.progress import Progress
from engine.evaluate.transfer import Filled
from engine.model import zoo
from engine.model.zoo import Card

LEAD = "Attacks made on one model, shown to models that they never saw."
BRING = (
    "The bundled samples; or your own: names that begin with their class, "
    "as golf_ball_1.jpg, or one zip with a folder per class."
)
FILES = (("csv", "CSV"), ("json", "Result JSON"), ("png", "Heat map PNG"))


@dataclass(frozen=True)
class Panel:
    """The controls, in the order in which `_asked` reads them; then the buttons."""

    files: gr.File
    sources: gr.Dropdown
    attacks: gr.Dropdown
    eps: gr.Slider
    steps: gr.Slider
    targets: gr.CheckboxGroup
    together: gr.Checkbox
    seed: gr.Number
    run: gr.Button
    stop: gr.Button
    status: gr.HTML

    @property
    def asked(self) -> list[gr.components.Component]:
        return [getattr(self, each.name) for each in fields(self)[:8]]


def page(lab: Lab) -> None:
    """The Transfer page, in the current Blocks context."""
    gr.HTML(f"<header><h1>Transfer</h1><p>{LEAD}</p></header>", elem_id="title")
    here = tuple(
        each
        for each in zoo.cards(lab.weights)
        if zoo.available(each) == "here" and each.task == "classify"
    )
    with gr.Row(elem_id="transfer"):
        with gr.Column(elem_id="recipe"):
            panel = _controls(here)
        with gr.Column(elem_id="map"):
            earlier = _earlier(lab.weights)
            shown = _map(earlier, None if earlier else _frame(here, lab.weights))
            with gr.Row(elem_id="downloads"):
                files = [
                    gr.DownloadButton(label, interactive=False, size="sm", elem_id=f"save-{name}")
                    for name, label in FILES[:2]
                ]
                picture = gr.Button(
                    FILES[2][1], interactive=bool(earlier), size="sm", elem_id="save-png"
                )
    _runs(lab, panel, shown, [*files, picture])
    picture.click(None, js="() => lab.then((page) => page.save())", **PRIVATE)


def _controls(here: Sequence[Card]) -> Panel:
    bundled = [each.name for each in here if each.source == "bundled"] or [e.name for e in here]
    titles = [(_titled(each), each.name) for each in here]
    brief = shorts({each.name: _titled(each) for each in here})
    gr.HTML(f"<b>Pictures</b><p>{escape(BRING)}</p>", elem_id="bring")
    parts: dict[str, Any] = {
        "files": gr.File(
            file_count="multiple",
            file_types=["image", ".zip"],
            label="Pictures",
            show_label=False,
            height=96,
            elem_id="files",
        ),
        "sources": gr.Dropdown(
            [(short, name) for name, short in brief.items()],
            value=bundled[:1],
            multiselect=True,
            label="Make attacks on",
            elem_id="sources",
        ),
        "attacks": gr.Dropdown(
            [(attack(kind()), kind.name) for kind in ATTACKS],
            value=[MIFGSM.name, TGR.name],
            multiselect=True,
            label="Attacks",
            info="All at the same budget; other knobs as published.",
            elem_id="attacks",
        ),
    }
    for name, value in (("eps", first.EPS), ("steps", first.STEPS)):
        look = controls.appearance(MIFGSM, name) | {"value": value, "info": None}
        parts[name] = gr.Slider(**look, interactive=True, elem_id=f"knob-{name}")
    with gr.Row(elem_id="actions"):
        parts["run"] = gr.Button("Run", variant="primary", elem_id="run", min_width=64, scale=2)
        parts["stop"] = gr.Button("Stop", elem_id="stop", min_width=64)
    parts["status"] = gr.HTML(
        _told(labelled.samples()),
        html_template='<div role="status" aria-live="polite">${value}</div>',
        elem_id="status",
    )
    parts["targets"] = gr.CheckboxGroup(
        titles,
        value=bundled[1:],
        label="Show the results to",
        info="The model attacked is always shown, too.",
        elem_id="targets",
    )
    with gr.Accordion("More", open=False, elem_id="more"):
        parts["together"] = gr.Checkbox(
            label="Attack all of them as one",
            info="An ensemble: the mean of their logits.",
            elem_id="together",
        )
        parts["seed"] = gr.Number(0, precision=0, label="Seed", elem_id="seed")
    return Panel(**parts)


def _titled(card: Card) -> str:
    if card.source == "bundled":
        return card.title
    return f"{card.title} (weights folder, {card.classes} classes)"


def _earlier(weights: Path | None) -> dict[str, Any] | None:
    """The map that was measured earlier, with what the stored studies add to it."""
    found = first.stored()
    return found and found | {"findings": [*found["findings"], *studies.findings(weights)]}


def _frame(here: Sequence[Card], weights: Path | None) -> dict[str, Any] | None:
    """The empty map as the controls stand at first."""
    names = [each.name for each in here if each.source == "bundled"] or [e.name for e in here]
    samples = labelled.samples()
    if not names or not samples.pictures:
        return None
    recipes = at_one_budget((MIFGSM.name, TGR.name), first.EPS, first.STEPS)
    return frame(experiment(samples, names[:1], recipes, names[1:], 0), weights)


def _map(earlier: dict[str, Any] | None, shown: dict[str, Any] | None) -> gr.HTML:
    """The heat map: a constant frame that `transfer.js` fills from each message.

    What was measured earlier is a part of it for good, so that it can be called back.
    """
    return gr.HTML(
        shown,
        html_template='<section class="lab-view" data-view="transfer"></section>',
        css_template="",
        js_on_load=on_load("see(element, props, watch)"),
        apply_default_css=False,
        elem_id="lab-transfer",
        earlier=earlier,
    )


def _runs(lab: Lab, panel: Panel, shown: gr.HTML, files: list[Any]) -> None:
    make, follow = partial(_asked, lab), partial(_follow, lab)
    for ended in launch(lab.store, panel, shown, make, follow, _kept, SHARED):
        ended.then(_files(lab), shown, files, preprocess=False, concurrency_limit=4, **PRIVATE)

    def take(data: Any, sources: Any) -> str:
        try:
            found = _pictures(lab, data, sources)
        except EngineError as problem:
            return status.error(problem)
        return _told(found)

    for happens in (panel.files.upload, panel.files.delete, panel.files.clear):
        happens(take, [panel.files, panel.sources], panel.status, preprocess=False, **PRIVATE)


def _told(found: Labelled) -> str:
    hint = "Press Run, or bring your own." if found.bundled else "Press Run."
    if found.brought > len(found.pictures):
        hint = f"This page measures at most {MOST_PICTURES}; the command line any number. {hint}"
    return status.line(f"{found.words[:1].upper()}{found.words[1:]}.", hint=hint)


def _pictures(lab: Lab, data: Any, sources: Any) -> Labelled:
    """What was uploaded, labelled as the first source names its classes; else the samples."""
    if not data:
        return labelled.samples()
    if not sources:
        raise BadTask("There is no source model.", "Choose the model that the attacks are made on.")
    card = zoo.card(str(sources[0]), lab.weights)
    return labelled.read(labelled.uploads(data), zoo.class_names(card))


def _asked(lab: Lab, session: str, values: Sequence[Any]) -> Trial:
    """The experiment as the controls stand; raises EngineError."""
    data, sources, attacks, eps, steps, targets, together, seed = values
    if not isinstance(seed, int | float) or not float(seed).is_integer() or seed < 0:
        raise BadTask("The seed must be a whole number from 0.", "Type, for instance, 0.")
    found = _pictures(lab, data, sources)
    recipes = at_one_budget(attacks or (), eps, steps)
    asked = experiment(found, sources or (), recipes, targets or (), int(seed), bool(together))
    return Trial(asked, found, lab.weights, session)


def _follow(lab: Lab, trial: Trial) -> Iterator[Any]:
    """The trial's events as (map, status), thinned to what an eye can follow."""
    began = told = time.monotonic()
    fresh = False
    for event in drive(trial):
        if lab.store.current(trial.session) is not trial:
            return
        now = time.monotonic()
        if isinstance(event, Loading):
            began = now
            yield message(trial), status.loading(event)
        elif isinstance(event, Ended):
            yield _kept(trial), _ended(trial, now - began)
        else:
            fresh = fresh or isinstance(event, Filled)
            if now - told >= SECONDS_BETWEEN_UPDATES:
                told = now
                yield message(trial) if fresh else gr.skip(), _progress(event, now - began)
                fresh = False


def _kept(trial: Trial) -> Any:
    """What was found, for good; where nothing was, what was there before."""
    return message(trial, DONE) if trial.found else {"state": "restore"}


def _progress(event: Progress, seconds: float) -> str:
    left = seconds / event.done * (event.total - event.done)
    detail = f"step {event.done} of {event.total}, about {left:.0f} s left"
    return status.line(status.RUNNING, "busy", detail=detail, share=event.done / event.total)


def _ended(trial: Trial, seconds: float) -> str:
    count = len(trial.experiment.pictures)
    if trial.why == "finished":
        return status.line(f"Finished: {trial.labelled.words} in {seconds:.0f} s.", "done")
    share = trial.judged / count
    at = f"Stopped with {trial.judged} of {count} pictures through"
    if trial.why == "stopped":
        return status.line(f"{at}.", "done", hint="What was found stays.", share=share)
    return status.line(
        f"{at}: an experiment may take a quarter of an hour on this page.",
        "done",
        hint="What was found stays; the command line has no limit.",
        share=share,
    )


def _files(lab: Lab) -> Callable[[Any], Any]:
    """The numbers of the trial that is on the map, as files behind the download buttons."""

    def handle(shown: Any) -> Any:
        trial = lab.store.get(str(shown.get("run"))) if isinstance(shown, dict) else None
        if not isinstance(trial, Trial) or not trial.found:
            return [gr.skip()] * len(FILES)
        made = [gr.update(value=str(path), interactive=True) for path in trial.files()]
        return [*made, gr.update(interactive=True)]

    return handle
