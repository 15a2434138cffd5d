"""What happens when a visitor does something: every handler of the page.

A run is a generator that the desk drives: it gives the line beside the button and a small live update
at most five times a second, then the whole result once. Handlers get raw values
(`preprocess=False`), so that whatever is wrong with them is said by the engine, in its words.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from demo.kit import controls, models, pictures, status, stored
from demo.kit.desk import Busy, Stage
from demo.kit.knows import few, knows, stranger
from demo.kit.launch import (
    PRIVATE,
    QUICK,
    SECONDS_BETWEEN_UPDATES,
    VISIT,
    Door,
    Note,
    as_they_were,
    told,
)
from demo.kit.store import Job, Store
from demo.lab import charts, recipe, views
from demo.lab import first as first_run
from demo.lab.recipe import ONE, SELF, Panel, hidden
from demo.lab.running import Began, Ended, Loading, drive, fetch, missing
from engine.attack.catalog import BY_NAME, RECIPES
from engine.attack.recipe import Momentum
from engine.core.errors import EngineError
from engine.model import hub, zoo
from engine.reproduce import code, command

GONE = "This run is no longer kept. Press Run to compute it again."
VISIBLE = 0.5 / 255  # what a pixel must move by for eight bits to show it
SENTENCE = """
(model, attack, goal, target, eps, steps) => {
  const titles = TITLES;
  const clean = (text) => String(text ?? '').replace(/[<>&]/g, '');
  const aim = goal === 'ONE' && target ? `read this picture as <b>${clean(target)}</b>`
                                       : 'misread this picture';
  return `Make <b>${clean(titles[model] ?? model)}</b> ${aim}, changing no pixel by more than `
    + `<b>${clean(eps)}/255</b>, in <b>${clean(steps)}</b> step${steps == 1 ? '' : 's'} of `
    + `<b>${clean(titles[attack])}</b>.`;
}
"""
# A new visit: nothing of this one is found again.
RESET = "() => { try { delete sessionStorage.labVisit; } catch {} location.reload(); }"


@dataclass(frozen=True)
class Lab:
    """What all visitors of a served page share."""

    store: Store
    warm: first_run.Warm
    weights: Path | None

    def job(self, place: str) -> Job | None:
        """The place's latest job that has a result; before the first, the one shown at first."""
        job = self.store.current(place) or self.warm.done()
        return job if job is not None and job.result is not None else None

    def patch(self, run_id: str, query: int) -> dict[str, Any]:
        """Attention of one query token of a run, for the attention view."""
        job = self.warm.done() if run_id == first_run.ID else self.store.get(run_id)
        if job is None or job.result is None:
            return {"error": GONE}
        return views.slab(job.result, query)


def noted(lab: Lab, panel: Panel, stale: gr.HTML) -> Note:
    """What is still shown where Run would do something else, and steps that are too small to see."""
    first, names = [each.value for each in panel.asked], list(panel.knobs)

    def said(place: str, values: Sequence[Any]) -> tuple[str, str]:
        return _stale(lab, first, names, place, values), _too_small(names, values)

    return Note((stale, panel.hint), said)


def runs(
    lab: Lab, door: Door[Panel], files: list[gr.DownloadButton], lines: list[gr.Code]
) -> list[Any]:
    """Run, Step and Stop, and a page that is come back to; gives the events that end a run."""
    panel = door.panel
    names = list(panel.knobs)

    def make(place: str, values: Sequence[Any]) -> Job:
        return Job(recipe.request(lab.weights, names, values), place)

    def go_on(place: str, values: Sequence[Any]) -> Job:
        made, before = make(place, values), lab.store.current(place)
        if before is None or before.request != made.request or before.done:
            return made
        if not lab.store.over(before):
            raise Busy("A run is under way.", "Press Stop; Step then goes on from there.")
        return before

    def stages(steps: int | None, job: Job) -> Iterator[Stage]:
        follow = partial(_follow, lab.store, steps)
        if missing(job.request):
            yield "hub", partial(told, job, _bring, _restore, lab.store)
        yield "torch", partial(told, job, follow, _restore, lab.store)

    ends = [
        door.pressed(panel.run, make, partial(stages, None)),
        door.pressed(panel.step, go_on, partial(stages, 1)),
        door.returns(partial(_put_back, lab, panel)),
    ]
    for each in ends:
        each.then(_files(lab, door), door.visit, [*files, *lines], concurrency_limit=4, **PRIVATE)
    return ends


def picture(panel: Any) -> None:
    """Samples, uploads, camera and clipboard: what was taken is shown as the engine decodes it."""
    shown = [panel.source, panel.strip, panel.picture, panel.status]

    def pick(event: gr.EventData) -> Any:
        source = pictures.SAMPLE + str(event.id)
        try:
            image = pictures.read(source)
        except EngineError as problem:
            return gr.skip(), gr.skip(), gr.skip(), status.error(problem)
        return source, pictures.strip(str(event.id)), image, status.line(status.TAKEN)

    def take(data: Any, before: str) -> Any:
        try:
            source = pictures.uploaded(data)
            image = pictures.preview(pictures.read(source))
        except EngineError as problem:
            last = pictures.preview(pictures.read(before)) if before else None
            return gr.skip(), gr.skip(), last, status.error(problem)
        return source, pictures.strip(), image, status.line(status.TAKEN)

    def clear() -> Any:
        return "", pictures.strip(), gr.skip(), status.line(status.EMPTY)

    panel.strip.pick(pick, None, shown, **QUICK)
    panel.source.change(None, js="() => { window.labPicked = null; }", **PRIVATE)
    asked = [panel.picture, panel.source]
    panel.picture.upload(take, asked, shown, preprocess=False, concurrency_limit=4, **PRIVATE)
    panel.picture.clear(clear, None, shown, **QUICK)


def goal(lab: Lab, panel: Panel) -> None:
    """Model, attack and aim: what one choice changes in the others, and all of it in a sentence."""
    names = list(panel.knobs)

    def look(model: str, wanted: list[str] | None, target: Any, label: Any) -> Any:
        classes = models.classes(model, lab.weights)
        others = models.others(model, lab.weights)
        kept = [name for _, name in others if name in (wanted or ())]
        return (
            models.card(model, lab.weights),
            gr.update(choices=classes, value=target if target in classes else None),
            gr.update(choices=[SELF, *classes], value=label if label in classes else SELF),
            gr.update(choices=others, value=kept),
        )

    def switch(before: str, after: str, *values: Any) -> Any:
        # A browser may tell of one choice twice; the second time nothing is left to change.
        if before == after or after not in BY_NAME:
            return [gr.skip()] * (1 + len(names))
        looks = controls.switched(before, after, names, values)
        return [after, *(gr.update(**look) for look in looks)]

    def want(now: list[str] | None, wanted: list[str] | None, model: str) -> list[str]:
        offered = {name for _, name in models.others(model, lab.weights)}
        return [*(now or ()), *(name for name in wanted or () if name not in offered)]

    def aim(chosen: str) -> Any:
        return gr.update(visible=chosen == ONE)

    told = [panel.card, panel.target, panel.label, panel.others]
    asked = [panel.model, panel.wanted, panel.target, panel.label]
    panel.model.change(look, asked, told, preprocess=False, **QUICK)
    chosen = [panel.others, panel.wanted, panel.model]
    panel.others.input(want, chosen, panel.wanted, preprocess=False, **QUICK)
    knobs = list(panel.knobs.values())
    asked = [panel.before, panel.attack, *knobs]
    panel.attack.input(switch, asked, [panel.before, *knobs], preprocess=False, **QUICK)
    panel.goal.input(aim, panel.goal, panel.target, **QUICK)
    for each in panel.said:
        each.change(None, panel.said, panel.sentence, js=_sentence(lab.weights), **PRIVATE)


def acquaint(lab: Lab, panel: Panel) -> None:
    """What the model can know of the picture; where that is little, a model that knows more."""

    def tell(source: str, model: str) -> Any:
        return knows(source, model, lab.weights), gr.update(visible=False)

    def offer(source: str, model: str) -> Any:
        if not few(model, lab.weights) or (
            pictures.sample(source) and not stranger(source, model, lab.weights)
        ):
            return gr.update(visible=False)
        found = models.imagenet(lab.weights, hub.reachable())
        return (
            gr.update(visible=False) if found is None else gr.update(value=found[1], visible=True)
        )

    def take() -> Any:
        found = models.imagenet(lab.weights, hub.reachable())
        return gr.skip() if found is None else found[0]

    asked = [panel.source, panel.model]
    for each in asked:
        each.change(tell, asked, [panel.knows, panel.imagenet], **QUICK).then(
            offer, asked, panel.imagenet, **QUICK
        )
    panel.imagenet.click(take, None, panel.model, **QUICK)


def opening(demo: gr.Blocks, lab: Lab, door: Door[Panel]) -> None:
    """A visitor comes (a finished run stands there), starts over, or leaves."""
    panel, carrier = door.panel, door.shown[0]

    def come(visitor: gr.Request, visit: str) -> Any:
        if lab.store.current(door.place(visit, visitor)) is not None:
            return gr.skip(), gr.skip()
        found = first_run.stored(lab.weights)
        if found is None and (job := lab.warm.done()) is not None and job.result is not None:
            found = views.payload(job.result, job.id)
        if found is None:
            return gr.skip(), status.line(stored.problems.get(first_run.FILE, status.EMPTY))
        return found, status.line(status.EARLIER)

    def leave(visitor: gr.Request) -> None:
        lab.store.leave(str(visitor.session_hash))

    def offer() -> Any:
        there = hub.reachable()
        notes = (models.hub_note(lab.weights, there), *zoo.problems(lab.weights))
        told = "".join(f"<p>{escape(each)}</p>" for each in notes if each)
        return gr.update(choices=models.choices(lab.weights, there)), told

    shown = [carrier, panel.status]
    demo.load(come, door.visit, shown, js=VISIT, concurrency_limit=None, **PRIVATE)
    demo.load(offer, None, [panel.model, panel.hub], concurrency_limit=None, **PRIVATE)
    demo.load(None, panel.said, panel.sentence, js=_sentence(lab.weights), **PRIVATE)
    demo.unload(leave)
    panel.reset.click(None, js=RESET, **PRIVATE)


def numbers(
    lab: Lab,
    door: Door[Panel],
    ends: list[Any],
    tab: gr.Tab,
    shown: tuple[gr.Dropdown, gr.Plot, gr.Dataframe],
) -> None:
    """The Data tab: drawn when it is opened, another table is chosen, or a run ends while it is."""
    opened = hidden("opened")
    choice = shown[0]

    def draw(visitor: gr.Request, visit: str, title: str | None, is_open: str) -> Any:
        job = lab.job(door.place(visit, visitor))
        if not is_open or job is None or job.result is None:
            return gr.skip(), gr.skip(), gr.skip()
        found = charts.tables(job.result)
        title = title if title in found else next(iter(found))
        numbers = found[title]
        return (
            gr.update(choices=list(found), value=title),
            gr.update(value=charts.figure(numbers), visible=True),
            gr.update(headers=numbers.headers, value=numbers.rows, visible=True),
        )

    asked = [door.visit, choice, opened]
    opening = tab.select(lambda: "yes", None, opened, **QUICK)
    for event in (opening, *ends):
        event.then(draw, asked, list(shown), **PRIVATE)
    choice.input(draw, asked, list(shown), **PRIVATE)


def _restore(_: Job) -> dict[str, Any]:
    return views.RESTORE


def _bring(job: Job) -> Iterator[Any]:
    """The weights that the job lacks, on their way."""
    for event in fetch(job.request):
        if job.stop.is_set():
            return
        yield None, status.fetching(event)


def _follow(store: Store, steps: int | None, job: Job) -> Iterator[Any]:
    """The job's events as (carrier, status), thinned to what an eye can follow."""
    began = shown = time.monotonic()
    taken = 0
    for event in drive(job, steps):
        if store.current(job.session) is not job:
            return
        now = time.monotonic()
        if isinstance(event, Loading):
            yield None, status.loading(event)
        elif isinstance(event, Began):
            yield views.opened(event.run, job.id), status.line(status.RUNNING, "busy", share=0)
        elif isinstance(event, Ended):
            sent = None if event.result is None else views.payload(event.result, job.id)
            yield sent, status.ended(event, job.request)
        else:
            taken += 1
            if job.run is not None and (taken == 1 or now - shown >= SECONDS_BETWEEN_UPDATES):
                shown = now
                pace = (now - began) / taken
                yield views.live(event, job.run, job.id), status.stepped(event, pace)


def _put_back(lab: Lab, panel: Panel, values: Sequence[Any]) -> list[Any]:
    """The controls as they were left, with the choices and the knobs that go with them."""
    _, model, attack, aim, _, _, _, _, _, *knobs = values
    looks = dict(zip(map(id, panel.asked), as_they_were(panel.asked, values), strict=True))
    classes = models.classes(model, lab.weights)
    looks[id(panel.target)] |= {"choices": classes, "visible": aim == ONE}
    looks[id(panel.label)] |= {"choices": [SELF, *classes]}
    looks[id(panel.others)] |= {"choices": models.others(model, lab.weights)}
    for (name, control), value in zip(panel.knobs.items(), knobs, strict=True):
        look = controls.appearance(BY_NAME[attack], name)
        looks[id(control)] |= look | ({"value": value} if look["visible"] else {})
    return list(looks.values())


def _stale(
    lab: Lab, first: Sequence[Any], names: list[str], place: str, values: Sequence[Any]
) -> str:
    """What the views show and what Run would do, where the two differ."""
    drawn = lab.store.drawn(place) or first
    if _alike(drawn, values):
        return ""
    then, now = (_in_words(lab, names, each) for each in (drawn, values))
    parts = [(a, b) for a, b in zip(then, now, strict=True) if a != b] or [("other settings",) * 2]
    before, after = (escape(", ".join(each)) for each in zip(*parts, strict=True))
    runs = f"Run does: {after}" if before != after else "Run computes it anew"
    return f'<p class="stale">Still shown: {before}. <b>{runs}.</b></p>'


def _alike(a: Sequence[Any], b: Sequence[Any]) -> bool:
    return len(a) == len(b) and all(x == y or (not x and not y) for x, y in zip(a, b, strict=True))


def _in_words(lab: Lab, names: list[str], values: Sequence[Any]) -> tuple[str, str, str, str]:
    """Picture, model, goal and attack, as a visitor would name them."""
    source, model, attack, aim, target, *_ = values
    set_to = dict(zip(names, values[9:], strict=True))
    sample = pictures.sample(source)
    shown = sample.title if sample else "your picture" if source else "no picture"
    title = BY_NAME[attack].title.partition(":")[0] if attack in BY_NAME else str(attack)
    try:
        model = zoo.card(str(model), lab.weights).title
    except EngineError:
        model = str(model)
    goal = f"to be seen as {target}" if aim == ONE else "to be misread"
    steps = f"{set_to['steps']} step{'s' * (set_to['steps'] != 1)}"
    return shown, model, goal, f"{title} at {set_to['eps']}/255 in {steps}"


def _too_small(names: list[str], values: Sequence[Any]) -> str:
    """Where a step moves no pixel by as much as eight bits show."""
    try:
        made = controls.chosen(str(values[2]), dict(zip(names, values[9:], strict=True)))
    except EngineError as problem:
        return f"<p>{escape(problem.sentence)}</p>"
    if not isinstance(made, Momentum) or made.eps == 0 or made.alpha >= VISIBLE:
        return ""
    seen = -(-VISIBLE // made.alpha)
    size = f"A step moves a pixel by {made.alpha * 255:.2g}/255"
    if seen > made.steps:
        return f"<p>{size}: {made.steps} of them are too few to change an 8-bit picture.</p>"
    return f"<p>{size}: an 8-bit picture shows it from step {seen:.0f} on.</p>"


def _files(lab: Lab, door: Door[Panel]) -> Callable[[gr.Request, str], Any]:
    """The visitor's latest result as files behind the buttons, and as lines that make it again."""

    def handle(visitor: gr.Request, visit: str) -> Any:
        job = lab.job(door.place(visit, visitor))
        if job is None:
            return [gr.skip()] * 5
        made = [gr.update(value=str(path), interactive=True) for path in job.files()]
        taken = None if job.result is None or job.result.finished else job.result.steps
        return [*made, command(job.request, taken), code(job.request, taken)]

    return handle


def _sentence(weights: Path | None) -> str:
    titles = {each.name: each.title for each in zoo.cards(weights)}
    titles |= {each.name: each.title.partition(":")[0] for each in RECIPES}
    return SENTENCE.replace("TITLES", json.dumps(titles)).replace("ONE", ONE)
