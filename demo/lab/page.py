"""The Lab: the recipe on the left, what you see in the middle, what happens inside beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from demo.kit import status, stored
from demo.kit.desk import Busy
from demo.kit.door import Doing, Door, Note, Pace, Shared, Sights
from demo.kit.events import PRIVATE, QUICK, VISIT, hidden
from demo.kit.loading import Loading, bring, missing
from demo.kit.packing import text, together
from demo.kit.panel import header
from demo.kit.store import Values
from demo.lab import charts, recipe, views, wiring, words
from demo.lab import first as first_run
from demo.lab.recipe import Column
from demo.lab.running import Attempt, Began, drive
from demo.lab.warm import Warm
from engine.reproduce import code, command

TITLE = "Adversarial Lab for Vision Transformers"
LEAD = "Fool a Vision Transformer, and see inside it."
FILES = (("png", "Adversarial PNG"), ("npz", "Perturbation NPZ"), ("json", "Result JSON"))
GONE = "This run is no longer kept. Press Run to compute it again."


@dataclass(frozen=True)
class Lab:
    """The visitors' attempts, and the one that stands there before the first."""

    shared: Shared
    warm: Warm

    def attempt(self, place: str) -> Attempt | None:
        """The place's latest attempt that has a result; before the first, the one shown at first."""
        found = self.shared.store.current(place) or self.warm.done()
        return found if isinstance(found, Attempt) and found.result is not None else None

    def patch(self, run_id: str, query: int) -> dict[str, Any]:
        """Attention of one query token of a run, for the attention view."""
        found = self.warm.done() if run_id == first_run.ID else self.shared.store.get(run_id)
        if not isinstance(found, Attempt) or found.result is None:
            return {"error": GONE}
        return views.slab(found.result, query)


def page(shared: Shared) -> None:
    """The Lab page, in the current Blocks context."""
    weights = shared.weights
    lab = Lab(shared, Warm(shared))
    header(TITLE, LEAD)
    carrier = views.carrier()
    with gr.Row(elem_id="lab"):
        with gr.Column(elem_id="recipe"):
            column = recipe.make(lab.warm.attempt and lab.warm.attempt.request, weights)
        with gr.Column(elem_id="see"):
            stale = gr.HTML("", elem_id="stale")
            files, lines = _see()
        with gr.Column(elem_id="inside"):
            tab, numbers = _inside(lab)
    note = _note(lab, column, stale)
    begins = partial(recipe.begins, column.wanted.value, weights)
    along = [(column.before, recipe.attack_of), (column.wanted, recipe.wanted)]
    door = Door[Attempt](shared, column, carrier, note=note, begins=begins, along=along)
    ends = _runs(lab, door, files, lines)
    _draw_numbers(lab, door, ends, tab, numbers)
    wiring.follow_model(column, weights)
    wiring.follow_attack(column)
    wiring.acquaint(column, weights)
    said = wiring.say_goal(column, weights)
    _opening(lab, door)
    sentence = words.sentence(weights)
    door.app.load(None, said, column.sentence, js=sentence, **PRIVATE)
    wiring.offer_models(door.app, column, weights)
    lab.warm.start()


def _see() -> tuple[list[gr.DownloadButton], list[gr.Code]]:
    views.compare()
    for name in ("headline", "pair", "scrubber", "verdict", "bars"):
        views.view(name)
    with gr.Row(elem_id="downloads"):
        files = [
            gr.DownloadButton(label, interactive=False, size="sm", elem_id=f"save-{name}")
            for name, label in FILES
        ]
    views.keep()
    with gr.Accordion("The same without the page", open=False, elem_id="reproduce"):
        lines = [
            gr.Code(language="shell", label="Command line", elem_id="reproduce-command"),
            gr.Code(language="python", label="Python", elem_id="reproduce-code"),
        ]
    return files, lines


def _inside(lab: Lab) -> tuple[gr.Tab, list[Any]]:
    with gr.Tabs(elem_id="tabs", overflow_behavior="wrap"):
        # Hidden tabs keep their views mounted: they redraw when they are shown.
        with gr.Tab("Attention", render_children=True):
            views.attention(lab.patch)
        for title in ("Gradients", "Tokens", "Outliers", "Depth"):
            with gr.Tab(title, render_children=True):
                views.view(title.lower())
        with gr.Tab("Data", elem_id="data") as tab:
            choice = gr.Dropdown([], label="What to show", interactive=True, elem_id="data-choice")
            plot = gr.Plot(show_label=False, visible=False, elem_id="data-plot")
            table = gr.Dataframe(
                interactive=False,
                show_label=False,
                visible=False,
                wrap=True,
                max_height=320,
                elem_id="data-table",
            )
    return tab, [choice, plot, table]


def _note(lab: Lab, column: Column, stale: gr.HTML) -> Note:
    """What is still shown where Run would do something else, and what to know before Run."""
    first = {name: each.value for name, each in column.asked.items()}
    store, weights = lab.shared.store, lab.shared.weights

    def said(place: str, values: Values) -> tuple[str, str]:
        drawn = store.drawn(place) or first
        return words.stale(drawn, values, weights), words.hints(values, weights)

    return Note((stale, column.hint), said)


def _runs(
    lab: Lab, door: Door[Attempt], files: list[gr.DownloadButton], lines: list[gr.Code]
) -> list[Any]:
    """Run, Step and Stop, and a page that is come back to; gives the events that end a run."""
    store, weights = lab.shared.store, lab.shared.weights

    def make(place: str, values: Values) -> Attempt:
        return Attempt(recipe.request(weights, values), place=place)

    def go_on(place: str, values: Values) -> Attempt:
        made, before = make(place, values), store.current(place)
        if not isinstance(before, Attempt) or before.request != made.request or before.done:
            return made
        if not store.over(before):
            raise Busy("A run is under way.", "Press Stop; Step then goes on from there.")
        return before

    step = door.panel.actions.step
    assert step is not None
    ends = [
        *door.opens(make, stages, partial(wiring.put_back, weights=weights)),
        door.pressed(step, go_on, partial(stages, steps=1)),
    ]
    for each in ends:
        each.then(_files(lab, door), door.visit, [*files, *lines], concurrency_limit=4, **PRIVATE)
    return ends


def stages(attempt: Attempt, steps: int | None = None) -> Iterator[Doing]:
    """What must be done for an attempt, or for its next `steps`."""
    if missing(attempt.models, attempt.request.weights):
        yield "hub", _bring(attempt)
    yield "torch", _follow(attempt, steps)


def _bring(attempt: Attempt) -> Sights:
    """The weights that the attempt lacks, on their way."""
    for event in bring(attempt.models, attempt.request.weights):
        if attempt.stop.is_set():
            return
        yield None, status.fetching(event)


def _follow(attempt: Attempt, steps: int | None) -> Sights:
    """What happens in an attempt, thinned to what an eye can follow."""
    pace, taken = Pace(), 0
    for event in drive(attempt, steps):
        if isinstance(event, Loading):
            yield None, status.loading(event)
        elif isinstance(event, Began):
            opened = views.opened(event.run, attempt.id)
            yield opened, status.line(status.RUNNING, "busy", share=0)
        else:
            taken += 1
            if attempt.run is not None and (pace.due or taken == 1):
                left = pace.left(taken, taken + event.steps - event.step)
                said = status.stepped(event.step, event.steps, left)
                yield views.live(event, attempt.run, attempt.id), said
    drawn = None if attempt.result is None else views.payload(attempt.result, attempt.id)
    yield drawn, words.ended(attempt)


def _files(lab: Lab, door: Door[Attempt]) -> Callable[[gr.Request, str], Any]:
    """The visitor's latest result as files behind the buttons, and as lines that make it again."""

    def handle(visitor: gr.Request, visit: str) -> Any:
        found = lab.attempt(door.place(visit, visitor))
        if found is None or found.result is None:
            return [gr.skip()] * 5
        made = [gr.update(value=str(path), interactive=True) for path in found.files()]
        taken = None if found.result.finished else found.result.steps
        return [*made, command(found.request, taken), code(found.request, taken)]

    return handle


def _opening(lab: Lab, door: Door[Attempt]) -> None:
    """Who comes finds a finished run, their own or the first, which is read once for all."""
    kept: list[str] = []

    def first() -> list[str]:
        if not kept:
            found = first_run.stored(lab.shared.weights)
            if found is None and (warm := lab.warm.done()) is not None and warm.result is not None:
                found = views.payload(warm.result, warm.id)
            kept.extend([] if found is None else [together(text(found))])
        return kept

    def come(visitor: gr.Request, visit: str) -> Any:
        if lab.shared.store.current(door.place(visit, visitor)) is not None:
            return gr.skip(), gr.skip()
        if not (found := first()):
            return gr.skip(), status.line(stored.problems.get(first_run.RESULT.file, status.EMPTY))
        return found[0], status.line(status.EARLIER)

    door.app.load(come, door.visit, door.shown, js=VISIT, concurrency_limit=None, **PRIVATE)


def _draw_numbers(
    lab: Lab, door: Door[Attempt], ends: list[Any], tab: gr.Tab, shown: list[Any]
) -> None:
    """The Data tab: drawn when it is opened, another table is chosen, or a run ends while it is."""
    opened, choice = hidden("opened"), shown[0]

    def draw(visitor: gr.Request, visit: str, title: str | None, is_open: str) -> Any:
        found = lab.attempt(door.place(visit, visitor))
        if not is_open or found is None or found.result is None:
            return gr.skip(), gr.skip(), gr.skip()
        tables = charts.tables(found.result)
        title = title if title in tables else next(iter(tables))
        numbers = tables[title]
        return (
            gr.update(choices=list(tables), value=title),
            gr.update(value=charts.figure(numbers), visible=True),
            gr.update(headers=numbers.headers, value=numbers.rows, visible=True),
        )

    asked = [door.visit, choice, opened]
    opening = tab.select(lambda: "yes", None, opened, **QUICK)
    for event in (opening, *ends):
        event.then(draw, asked, shown, **PRIVATE)
    choice.input(draw, asked, shown, **PRIVATE)
