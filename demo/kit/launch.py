"""Run and Stop, the same on every page: the controls make a job, the desk has it driven, and
whoever is on the page is told of it, also after a reload or a look at another page."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import gradio as gr
from gradio.context import Context, LocalContext

from demo.kit import pictures, status
from demo.kit.desk import LINE, OPENING, SHOWN, STATUS, Stage, Told, Work, watch
from demo.kit.store import Kept, Store
from demo.lab.recipe import hidden
from engine.core.errors import EngineError

log = logging.getLogger(__name__)

SECONDS_BETWEEN_UPDATES = 0.2
SECONDS_UNREAD = 5.0
PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
QUICK: dict[str, Any] = {"queue": False, **PRIVATE}
# Who watches waits for others and holds nothing, so all may at once.
WATCHING: dict[str, Any] = {"concurrency_limit": None, "trigger_mode": "multiple", **PRIVATE}
# One visit is one tab: its storage outlives a reload and a walk to another page, and ends with it.
VISIT = """() => {
  try {
    return sessionStorage.labVisit ||= crypto.randomUUID?.() ?? String(Math.random()).slice(2);
  } catch { return ""; }
}"""
# What a visitor has just done counts, also before the page has been told: who they are, and which
# sample they picked.
NOW = f"""(visit, ...rest) => {{
  const picked = window.labPicked;
  if (picked && SOURCE >= 0) rest[SOURCE] = picked;
  return [({VISIT})(), ...rest];
}}"""
STOPPING = f"""() => {{
  const said = document.querySelector("#status [data-kind=busy] b");
  if (said) said.textContent = "{status.STOPPING}";
  return [({VISIT})()];
}}"""


class Panel(Protocol):
    """A page's controls, as far as Run and Stop need them."""

    run: gr.Button
    stop: gr.Button
    status: gr.HTML

    @property
    def asked(self) -> list[gr.components.Component]: ...


Controls = TypeVar("Controls", bound=Panel)


def launch(
    store: Store,
    panel: Panel,
    shown: gr.HTML,
    make: Callable[[str, Sequence[Any]], Kept],
    follow: Callable[[Any], Iterator[Any]],
    restore: Callable[[Any], Any],
    slots: dict[str, Any],
) -> list[Any]:
    """Run: `make(place, values)` gives a job, `follow(job)` yields (shown, status) as it goes on.

    `restore(job)` is what `shown` is told where the job fails; `slots` names the desk's lane. The
    page is also given back as it was left: its controls, and its run. Gives the events that end a run.
    """
    door = Door(store, panel, shown)

    def stages(job: Kept) -> Iterator[Stage]:
        yield slots["concurrency_id"], partial(told, job, follow, restore, store)

    return [door.pressed(panel.run, make, stages), door.returns()]


class Door(Generic[Controls]):
    """What a page's Run and Stop share: whose visit it is, what is pending, where it is drawn.

    `note`, where a page has one, is told whenever a control has changed or a run has ended.
    """

    def __init__(
        self, store: Store, panel: Controls, shown: gr.HTML, note: Note | None = None
    ) -> None:
        self.store, self.panel, self.shown, self.note = store, panel, [shown, panel.status], note
        self.visit, self.pending = hidden("visit"), hidden("pending")
        self.place = _place()
        source = getattr(panel, "source", None)
        self.now = NOW.replace("SOURCE", str(panel.asked.index(source) if source else -1))
        panel.stop.click(self._stop, self.visit, js=STOPPING, **QUICK)

    def pressed(
        self,
        button: gr.Button,
        make: Callable[[str, Sequence[Any]], Kept],
        stages: Callable[[Any], Iterable[Stage]],
    ) -> Any:
        """The button makes a job of the controls and follows it; gives the event that ends it."""
        store = self.store

        def begin(visitor: gr.Request, tab: str, *values: Any) -> Any:
            place = self.place(tab, visitor)
            try:
                job = make(place, values)
                submit(store, job, Work(place, tuple(stages(job)), job.stop), values)
            except EngineError as problem:
                return status.error(problem), ""
            except Exception as problem:
                log.exception("a request failed")
                return status.bug(problem), ""
            store.remember(place, values)
            return gr.skip(), job.id

        asked = [self.visit, *self.panel.asked]
        told = [self.panel.status, self.pending]
        begun = button.click(begin, asked, told, js=self.now, **MAKING)
        return self._watched(begun)

    def returns(self, put_back: Callable[[Sequence[Any]], list[Any]] | None = None) -> Any:
        """Who comes back finds the controls as they were left, and joins the run that goes on.

        `put_back(values)` says how the controls look with these values. Gives the event that ends
        the run that was joined.
        """
        panel, store = self.panel, self.store
        controls = list(panel.asked)
        picture = [getattr(panel, each) for each in ("strip", "picture") if hasattr(panel, each)]
        outputs = [*controls, *picture]
        look = put_back or partial(as_they_were, controls)

        def come(visitor: gr.Request, tab: str) -> Any:
            place = self.place(tab, visitor)
            store.come(str(visitor.session_hash), place.partition("/")[0])
            values, job = store.remembered(place), store.current(place)
            looks = [gr.skip()] * len(outputs) if values is None else look(values)
            if values is not None and picture:
                looks = [*looks, *_picture(str(values[controls.index(panel.source)]))]
            return [tab, "" if job is None else job.id, *looks]

        arrived = Context.root_block.load(
            come,
            self.visit,
            [self.visit, self.pending, *outputs],
            js=VISIT,
            concurrency_limit=None,
            **PRIVATE,
        )
        changes = [each.change for each in controls]
        gr.on(changes, self._remember, trigger_mode="always_last", **self._noting)
        return self._watched(arrived)

    @property
    def _noting(self) -> dict[str, Any]:
        drawn = list(self.note.drawn) if self.note else None
        inputs = [self.visit, *self.panel.asked]
        return {
            "inputs": inputs,
            "outputs": drawn,
            "js": self.now,
            "preprocess": False,
            **QUICK,
        }

    def _remember(self, visitor: gr.Request, visit: str, *values: Any) -> Any:
        place = self.place(visit, visitor)
        self.store.remember(place, values)
        return list(self.note.said(place, values)) if self.note else None

    def _watched(self, begun: Any) -> Any:
        done = begun.then(watching(self.store), self.pending, self.shown, **WATCHING)
        if self.note:
            done.then(self._remember, **self._noting)
        return done

    def _stop(self, visitor: gr.Request, visit: str) -> None:
        halt(self.store, self.place(visit, visitor))


@dataclass(frozen=True)
class Note:
    """Lines that depend on the controls and on what is shown: where they stand, what they say."""

    drawn: Sequence[gr.HTML]
    said: Callable[[str, Sequence[Any]], Sequence[str]]


def _picture(source: str) -> list[Any]:
    """The samples and the picture, as they look with that picture chosen."""
    try:
        shown = pictures.preview(pictures.read(source)) if source else None
    except EngineError:
        shown = None
    return [pictures.strip(source.removeprefix(pictures.SAMPLE)), shown]


def as_they_were(controls: Sequence[gr.components.Component], values: Sequence[Any]) -> list[Any]:
    """The controls with the values they were left with."""
    return [
        gr.update(value=[each["path"] for each in value or ()])
        if isinstance(control, gr.File)
        else gr.update(value=value)
        for control, value in zip(controls, values, strict=True)
    ]


MAKING: dict[str, Any] = {
    "preprocess": False,
    "concurrency_limit": 8,
    "trigger_mode": "multiple",
    **PRIVATE,
}


def _place() -> Callable[[str, gr.Request], str]:
    """The place of a visit on the page that is being laid out now."""
    root = Context.root_block
    page = "" if root is None else str(root.current_page)

    def place(tab: str, visitor: gr.Request) -> str:
        name = tab if re.fullmatch(r"[\w-]{8,64}", str(tab or "")) else visitor.session_hash
        return f"{name}/{page}"

    return place


def submit(store: Store, job: Kept, work: Work, controls: Sequence[Any]) -> None:
    """The job becomes its place's current one, in place of what runs there; raises Busy."""
    halt(store, job.session)
    job.stop.clear()
    store.desk.submit(work)
    store.add(job, work, controls)


def told(
    job: Kept,
    follow: Callable[[Any], Iterator[Any]],
    restore: Callable[[Any], Any],
    store: Store,
) -> Iterator[Told]:
    """A job's (shown, status) as what the desk posts. The last good result stays, whatever fails,
    and what fails ends the work: no further stage is tried."""
    try:
        for drawn, said in follow(job):
            if drawn is not None and not is_skip(drawn):
                opens = isinstance(drawn, dict) and drawn.get("kind") == "open"
                store.draw(job)
                yield OPENING if opens else SHOWN, drawn
            if said is not None and not is_skip(said):
                yield STATUS, said
    except EngineError as problem:
        yield SHOWN, restore(job)
        yield STATUS, status.error(problem)
        raise
    except Exception as problem:
        log.exception("a run failed")
        yield SHOWN, restore(job)
        yield STATUS, status.bug(problem)
        raise
    finally:
        store.grown(job)


def is_skip(value: Any) -> bool:
    return isinstance(value, dict) and value.get("__type__") == "update"


def halt(store: Store, session: str) -> None:
    """What a place has under way ends after its step, also where it has not had its turn."""
    before = store.current(session)
    if before is not None:
        before.stop.set()


def watching(store: Store) -> Callable[[str], AsyncIterator[Any]]:
    """What the pending job has to say, as (shown, status)."""

    async def look(visitor: gr.Request, pending: str) -> AsyncIterator[Any]:
        work = store.work(pending) if pending else None
        if work is None:
            yield gr.skip(), gr.skip()  # else gradio blanks what an error has just said
            return
        present = reader(str(visitor.session_hash))
        async for each in watch(store.desk, work, present=present):
            if each is None:
                yield gr.skip(), gr.skip()
            elif each[0] == LINE:
                yield gr.skip(), status.waiting(each[1])
            elif each[0] == STATUS:
                yield gr.skip(), each[1]
            else:
                yield each[1], gr.skip()

    return look


def reader(session: str) -> Callable[[], bool]:
    """Whether somebody still reads what is sent to a session: messages do not pile up for long.

    Gradio keeps a queue of messages for every session, and empties it only while somebody reads.
    """
    blocks = LocalContext.blocks.get(None)
    queue = getattr(blocks, "_queue", None)
    unread_since: list[float] = []

    def present() -> bool:
        messages = None if queue is None else queue.pending_messages_per_session.get(session)
        if messages is None or messages.empty():
            unread_since.clear()
            return True
        unread_since.append(time.monotonic())
        return unread_since[-1] - unread_since[0] < SECONDS_UNREAD

    return present
