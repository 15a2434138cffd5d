"""What stands on the Transfer page and what happens there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from demo.kit import controls, goal, labelled, panel, picture, status
from demo.kit.door import RESTORE, Doing, Door, Pace, Shared, Sights
from demo.kit.events import PRIVATE
from demo.kit.frame import view_frame
from demo.kit.labelled import MOST_PICTURES, Labelled
from demo.kit.loading import Loading
from demo.kit.packing import text, together
from demo.kit.panel import Panel, header
from demo.kit.scripts import on_load
from demo.kit.store import Values
from demo.transfer import first
from demo.transfer.message import DONE, attack, frame, message
from demo.transfer.trial import ATTACKS, Trial, at_one_budget, card, drive, experiment
from engine.alter.catalog import ALTERATIONS
from engine.attack.recipes.mifgsm import MIFGSM
from engine.attack.recipes.tgr import TGR
from engine.core.errors import BadTask, EngineError
from engine.evaluate.transfer import Filled
from engine.model import zoo
from engine.model.titles import shorts
from engine.model.zoo import Card
from engine.papers.tgr import gains

LEAD = "Attacks made on one model, shown to models that they never saw."
BRING = (
    "The bundled samples; or your own: names that begin with their class, "
    "as golf_ball_1.jpg, or one zip with a folder per class."
)
FILES = (("csv", "CSV"), ("json", "Result JSON"), ("png", "Heat map PNG"))


def page(shared: Shared) -> None:
    """The Transfer page, in the current Blocks context."""
    header("Transfer", LEAD)
    here = [
        each
        for each in zoo.cards(shared.weights)
        if zoo.available(each) == "here" and each.task == "classify"
    ]
    with gr.Row(elem_id="transfer"):
        with gr.Column(elem_id="recipe"):
            made = _controls(here)
        with gr.Column(elem_id="map"):
            earlier = _earlier(shared.weights)
            shown = _map(earlier, None if earlier else _frame(here, shared.weights))
            with gr.Row(elem_id="downloads"):
                files = [
                    gr.DownloadButton(label, interactive=False, size="sm", elem_id=f"save-{name}")
                    for name, label in FILES[:2]
                ]
                save = gr.Button(
                    FILES[2][1], interactive=bool(earlier), size="sm", elem_id="save-png"
                )
    save.click(None, js="() => lab.then((page) => page.save())", **PRIVATE)
    door = Door[Trial](shared, made, shown, restore=_kept)
    for ended in door.opens(partial(_make, shared.weights), stages):
        ended.then(
            _files(door),
            door.visit,
            [*files, save],
            preprocess=False,
            concurrency_limit=4,
            **PRIVATE,
        )
    _told_of_files(made, shared.weights)


def _controls(here: Sequence[Card]) -> Panel:
    bundled = _bundled(here)
    titles = {each.name: _titled(each) for each in here}
    gr.HTML(f"<b>Pictures</b><p>{escape(BRING)}</p>", elem_id="bring")
    asked: dict[str, Any] = {
        "files": gr.File(
            file_count="multiple",
            file_types=["image", ".zip"],
            label="Pictures",
            show_label=False,
            height=96,
            elem_id="files",
        ),
        "sources": gr.Dropdown(
            [(short, name) for name, short in shorts(titles).items()],
            value=bundled[:1],
            multiselect=True,
            allow_custom_value=True,  # "vit|ats", "a+b": whatever the command line takes
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
        look: dict[str, Any] = controls.appearance(MIFGSM, name) | {"value": value, "info": None}
        asked[name] = gr.Slider(**look, interactive=True, elem_id=f"knob-{name}")
    actions = panel.actions(_said(labelled.samples()))
    asked["targets"] = gr.CheckboxGroup(
        [(title, name) for name, title in titles.items()],
        value=bundled[1:],
        label="Show the results to",
        info="The model attacked is always shown, too.",
        elem_id="targets",
    )
    with gr.Accordion("More", open=False, elem_id="more"):
        asked["together"] = gr.Checkbox(
            label="Attack all of them as one",
            info="An ensemble: the mean of their logits.",
            elem_id="together",
        )
        own = " or ".join(each.name for each in ALTERATIONS)
        asked["altered"] = gr.Textbox(
            label="Show also to altered models",
            info=f"Names with blanks between them; after each “|” one of {own}.",
            placeholder=f"{bundled[0] if bundled else 'model'}|ats",
            elem_id="altered",
        )
        asked["seed"] = goal.seed_control()
    return Panel(asked, actions, None)


def _bundled(here: Sequence[Card]) -> list[str]:
    """The bundled models; where there are none, all."""
    return [each.name for each in here if each.source == "bundled"] or [e.name for e in here]


def _titled(card: Card) -> str:
    if card.source == "bundled":
        return card.title
    return f"{card.title} (weights folder, {card.classes} classes)"


def _earlier(weights: Path | None) -> dict[str, Any] | None:
    """The map that was measured earlier, with what the stored studies add to it."""
    found = first.stored()
    return found and found | {"findings": [*found["findings"], *gains.findings(weights)]}


def _frame(here: Sequence[Card], weights: Path | None) -> dict[str, Any] | None:
    """The empty map as the controls stand at first."""
    names, samples = _bundled(here), labelled.samples()
    if not names or not samples.pictures:
        return None
    recipes = at_one_budget((MIFGSM.name, TGR.name), first.EPS, first.STEPS)
    return frame(experiment(samples, names[:1], recipes, names[1:], 0), weights)


def _map(earlier: dict[str, Any] | None, shown: dict[str, Any] | None) -> gr.HTML:
    """The heat map: a constant frame that `transfer.js` fills from each message.

    What was measured earlier is a part of it for good, so that it can be called back.
    """
    script = on_load("see(element, props, watch)")
    value = together(text(shown)) if shown else None
    return view_frame('data-view="transfer"', script, "lab-transfer", value, earlier=earlier)


def _told_of_files(made: Panel, weights: Path | None) -> None:
    """What was brought is read at once: how many pictures of what, or why they cannot be taken."""

    def take(data: Any, sources: Any) -> str:
        try:
            return _said(_pictures(weights, data, sources))
        except EngineError as problem:
            return status.error(problem)

    asked = [made["files"], made["sources"]]
    for happens in (made["files"].upload, made["files"].delete, made["files"].clear):
        happens(take, asked, made.actions.status, preprocess=False, **PRIVATE)


def _said(found: Labelled) -> str:
    hint = "Press Run, or bring your own." if found.bundled else "Press Run."
    if found.brought > len(found.pictures):
        hint = f"This page measures at most {MOST_PICTURES}; the command line any number. {hint}"
    return status.line(f"{found.words[:1].upper()}{found.words[1:]}.", hint=hint)


def _pictures(weights: Path | None, data: Any, sources: Any) -> Labelled:
    """What was uploaded, labelled as the first source names its classes; else the samples."""
    if not data:
        return labelled.samples()
    if not sources:
        raise BadTask("There is no source model.", "Choose the model that the attacks are made on.")
    classes = zoo.class_names(card(str(sources[0]), weights))
    return labelled.read(picture.uploads(data), classes)


def _make(weights: Path | None, place: str, values: Values) -> Trial:
    """The experiment as the controls stand; raises EngineError."""
    seed, sources = goal.seed(values["seed"]), [str(each) for each in values["sources"] or ()]
    targets = [*(values["targets"] or ()), *str(values["altered"] or "").split()]
    found = _pictures(weights, values["files"], sources)
    recipes = at_one_budget(values["attacks"] or (), values["eps"], values["steps"])
    asked = experiment(found, sources, recipes, targets, seed, bool(values["together"]))
    for name in asked.models:
        card(name, weights)
    return Trial(asked, found, weights, place=place)


def stages(trial: Trial) -> Iterator[Doing]:
    """What must be done for an experiment."""
    yield "transfer", _follow(trial)


def _follow(trial: Trial) -> Sights:
    """What happens in an experiment, thinned to what an eye can follow."""
    pace, fresh = Pace(), False
    for event in drive(trial):
        if isinstance(event, Loading):
            pace = Pace()
            yield message(trial), status.loading(event)
            continue
        fresh = fresh or isinstance(event, Filled)
        if pace.due:
            said = status.stepped(event.done, event.total, pace.left(event.done, event.total))
            yield message(trial) if fresh else None, said
            fresh = False
    yield _kept(trial), _ended(trial, pace.spent)


def _kept(trial: Trial) -> dict[str, Any]:
    """What was found, for good; where nothing was, what was there before."""
    return message(trial, DONE) if trial.found else RESTORE


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


def _files(door: Door[Trial]) -> Callable[[gr.Request, str], Any]:
    """The numbers of the visitor's latest trial, as files behind the download buttons."""

    def handle(visitor: gr.Request, visit: str) -> Any:
        trial = door.store.current(door.place(visit, visitor))
        if not isinstance(trial, Trial) or not trial.found:
            return [gr.skip()] * len(FILES)
        made = [gr.update(value=str(path), interactive=True) for path in trial.files()]
        return [*made, gr.update(interactive=True)]

    return handle
