"""What happens when a visitor does something: every handler of the page.

A run's handler is a generator: it yields the line beside the button and a small live update at
most five times a second, then the whole result once. Between steps it looks whether the visitor
has pressed Stop, pressed Run again, or left. Handlers get raw values (`preprocess=False`), so that
whatever is wrong with them is said by the engine, in its words.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from demo import charts, controls, first_run, models, pictures, recipe, status, views
from demo.launch import (
    DRIVING,
    MAKING,
    PRIVATE,
    QUICK,
    SECONDS_BETWEEN_UPDATES,
    driven,
    halt,
    stops,
)
from demo.recipe import ONE, SELF, Panel
from demo.running import TORCH, Began, Ended, Loading, drive, fetch
from demo.store import Job, Store
from engine.attack.catalog import RECIPES
from engine.core.errors import EngineError
from engine.model import zoo

log = logging.getLogger(__name__)

GONE = "This run is no longer kept. Press Run to compute it again."
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


@dataclass(frozen=True)
class Lab:
    """What all visitors of a served page share."""

    store: Store
    warm: first_run.Warm
    weights: Path | None

    def job(self, visitor: gr.Request) -> Job | None:
        """The visitor's latest job that has a result; before their first, the one shown first."""
        job = self.store.current(str(visitor.session_hash)) or self.warm.done()
        return job if job is not None and job.result is not None else None

    def patch(self, run_id: str, query: int) -> dict[str, Any]:
        """Attention of one query token of a run, for the attention view."""
        job = self.warm.done() if run_id == first_run.ID else self.store.get(run_id)
        if job is None or job.result is None:
            return {"error": GONE}
        return views.slab(job.result, query)


def runs(
    lab: Lab,
    panel: Panel,
    carrier: gr.HTML,
    files: list[gr.DownloadButton],
    after: Callable[[Any], Any],
) -> None:
    """Run, Step and Stop; `after` is told the event that ends a run."""
    pending = gr.State("")
    for button, one in ((panel.run, False), (panel.step, True)):
        begun = button.click(
            _begin(lab, list(panel.knobs), one),
            panel.asked,
            [panel.status, pending],
            **MAKING,
        )
        follow = partial(_follow, lab.store, 1 if one else None)
        work = driven(lab.store, follow, lambda _: views.RESTORE)
        done = begun.then(work, pending, [carrier, panel.status], **TORCH, **DRIVING)
        after(done.then(_files(lab), None, files, concurrency_limit=4, **PRIVATE))

    stops(lab.store, panel.stop)


def picture(panel: Panel) -> None:
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
    asked = [panel.picture, panel.source]
    panel.picture.upload(take, asked, shown, preprocess=False, **PRIVATE)
    panel.picture.clear(clear, None, shown, **QUICK)


def goal(lab: Lab, panel: Panel) -> None:
    """Model, attack and aim: what one choice changes in the others, and all of it in a sentence."""
    names = list(panel.knobs)

    def look(model: str, shown_to: list[str] | None) -> Any:
        classes = models.classes(model, lab.weights)
        others = models.others(model, lab.weights)
        kept = [name for _, name in others if name in (shown_to or ())]
        return (
            models.card(model, lab.weights),
            gr.update(choices=classes, value=None),
            gr.update(choices=[SELF, *classes], value=SELF),
            gr.update(choices=others, value=kept),
        )

    def switch(before: str, after: str, *values: Any) -> Any:
        looks = controls.switched(before, after, names, values)
        return [after, *(gr.update(**look) for look in looks)]

    def aim(chosen: str) -> Any:
        return gr.update(visible=chosen == ONE)

    told = [panel.card, panel.target, panel.label, panel.others]
    panel.model.change(look, [panel.model, panel.others], told, preprocess=False, **QUICK)
    knobs = list(panel.knobs.values())
    asked = [panel.before, panel.attack, *knobs]
    panel.attack.input(switch, asked, [panel.before, *knobs], preprocess=False, **QUICK)
    panel.goal.input(aim, panel.goal, panel.target, **QUICK)
    for each in panel.said:
        each.change(None, panel.said, panel.sentence, js=_sentence(lab.weights), **PRIVATE)


def opening(
    demo: gr.Blocks, lab: Lab, panel: Panel, carrier: gr.HTML, files: list[gr.DownloadButton]
) -> None:
    """A visitor comes (a finished run stands there), starts over, or leaves."""

    def come() -> Any:
        found = first_run.stored(lab.weights)
        if found is None and (job := lab.warm.done()) is not None and job.result is not None:
            found = views.payload(job.result, job.id)
        if found is None:
            return gr.skip(), gr.skip()
        return found, status.line(status.EARLIER)

    def leave(visitor: gr.Request) -> None:
        lab.store.leave(str(visitor.session_hash))

    demo.load(come, None, [carrier, panel.status], concurrency_limit=None, **PRIVATE)
    demo.load(None, panel.said, panel.sentence, js=_sentence(lab.weights), **PRIVATE)
    demo.load(_files(lab), None, files, concurrency_limit=4, **PRIVATE)
    demo.unload(leave)
    panel.reset.click(None, js="() => location.reload()", **PRIVATE)


def numbers(
    lab: Lab, tab: gr.Tab, choice: gr.Dropdown, plot: gr.Plot, table: gr.Dataframe
) -> Callable[[Any], Any]:
    """The Data tab: drawn when it is opened, another table is chosen, or a run ends while it is."""
    opened = gr.State(False)

    def draw(visitor: gr.Request, title: str | None, is_open: bool) -> Any:
        job = lab.job(visitor)
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

    shown = [choice, plot, table]
    tab.select(lambda: True, None, opened, **QUICK).then(draw, [choice, opened], shown, **PRIVATE)
    choice.input(draw, [choice, opened], shown, **PRIVATE)
    return lambda ended: ended.then(draw, [choice, opened], shown, **PRIVATE)


def _begin(lab: Lab, names: list[str], one: bool) -> Callable[..., Iterator[Any]]:
    """Make the request, fetch what it needs, and hand the job on: (status, pending job's id)."""

    def handle(visitor: gr.Request, *values: Any) -> Iterator[Any]:
        session = str(visitor.session_hash)
        before = lab.store.current(session)
        try:
            request = recipe.request(lab.weights, names, values)
            for event in fetch(request):
                yield status.fetching(event), ""
        except EngineError as problem:
            yield status.error(problem), ""
            return
        except Exception as problem:
            log.exception("a request failed")
            yield status.bug(problem), ""
            return
        goes_on = one and before is not None and before.request == request and not before.done
        if before is not None and goes_on:
            before.stop.clear()
            job = before
        else:
            halt(lab.store, session)
            job = lab.store.add(Job(request, session))
        yield status.line(status.WAITING, "busy"), job.id

    return handle


def _follow(store: Store, steps: int | None, job: Job) -> Iterator[Any]:
    """The job's events as (carrier, status), thinned to what an eye can follow."""
    began = shown = time.monotonic()
    taken = 0
    for event in drive(job, steps):
        if store.current(job.session) is not job:
            return
        now = time.monotonic()
        if isinstance(event, Loading):
            yield gr.skip(), status.loading(event)
        elif isinstance(event, Began):
            yield views.opened(event.run, job.id), status.line(status.RUNNING, "busy", share=0)
        elif isinstance(event, Ended):
            sent = gr.skip() if event.result is None else views.payload(event.result, job.id)
            store.grown(job)
            yield sent, status.ended(event, job.request)
        else:
            taken += 1
            if job.run is not None and (taken == 1 or now - shown >= SECONDS_BETWEEN_UPDATES):
                shown = now
                pace = (now - began) / taken
                yield views.live(event, job.run, job.id), status.stepped(event, pace)


def _files(lab: Lab) -> Callable[[gr.Request], Any]:
    """The visitor's latest result as files behind the download buttons."""

    def handle(visitor: gr.Request) -> Any:
        job = lab.job(visitor)
        if job is None:
            return [gr.skip(), gr.skip(), gr.skip()]
        return [gr.update(value=str(path), interactive=True) for path in job.files()]

    return handle


def _sentence(weights: Path | None) -> str:
    titles = {each.name: each.title for each in zoo.cards(weights)}
    titles |= {each.name: each.title.partition(":")[0] for each in RECIPES}
    return SENTENCE.replace("TITLES", json.dumps(titles)).replace("ONE", ONE)
