"""Run and Stop, the same on every page: the controls make a job, the desk has it driven, and
whoever is on the page is told of it, also after a reload or a look at another page."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import gradio as gr
from gradio.context import Context, LocalContext

from demo.kit import link, status, strip
from demo.kit.desk import LINE, OPENING, SHOWN, STATUS, Full, Stage, Told, Work, watch
from demo.kit.events import (
    MAKING,
    PRIVATE,
    QUICK,
    SETTING,
    SETTLED,
    VISIT,
    VISITED,
    WATCHING,
    hidden,
)
from demo.kit.frame import unseen
from demo.kit.job import Job
from demo.kit.packing import text, together
from demo.kit.panel import Panel
from demo.kit.scripts import SHARED
from demo.kit.store import Store, Values
from engine.core.errors import EngineError

log = logging.getLogger(__name__)

SECONDS_BETWEEN_UPDATES = 0.2
SECONDS_UNREAD = 30.0  # a class on a slow machine may keep a browser's stream waiting for some
UNHEARD_OF = (EngineError, LookupError, TypeError, ValueError)
"""What controls raise that stand as no page's do: only a request made by hand has them."""
RESTORE: dict[str, Any] = {"kind": "restore"}
"""What the views are told where a job brought nothing: show what was there before."""
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

Kind = TypeVar("Kind", bound=Job)
Sight = tuple[dict[str, Any] | None, str | None]
"""A message for the views and the line beside Run; None leaves either as it is."""
Sights = Iterator[Sight]
Doing = tuple[str, Sights]
"""A lane of the desk, and what is done there."""


@dataclass(frozen=True)
class Shared:
    """What all pages of a served application share."""

    store: Store
    weights: Path | None
    doors: dict[str, Door[Any]] = field(default_factory=dict["str", "Door[Any]"])
    """The door of each page, by the page's route; the Lab's is ""."""


@dataclass(frozen=True)
class Note:
    """Lines that depend on the controls and on what is shown: where they stand, what they say."""

    drawn: Sequence[gr.HTML]
    said: Callable[[str, Values], Sequence[str]]


class Pace:
    """Thins what is told to what an eye can follow, and says how long the rest will take."""

    def __init__(self, seconds: float = SECONDS_BETWEEN_UPDATES) -> None:
        self.seconds = seconds
        self.began = self._told = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time to tell again; then that counts as done."""
        now = time.monotonic()
        if now - self._told < self.seconds:
            return False
        self._told = now
        return True

    @property
    def spent(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.began

    def left(self, done: float, total: float) -> float:
        """Seconds until all is done, at this pace."""
        return self.spent / done * (total - done)


class Door(Generic[Kind]):
    """What a page's Run and Stop share: whose visit it is, what is pending, where it is drawn.

    `restore(job)` is what `shown` is told where a job fails. `note`, where a page has one, is told
    whenever a control has changed or a run has ended. `begins(changes)` says which other controls
    stand differently at first where these have been changed, as knobs of another attack. What is no
    control but follows how they are set is `along`, each with its value.
    """

    def __init__(
        self,
        shared: Shared,
        panel: Panel,
        shown: gr.HTML,
        restore: Callable[[Kind], dict[str, Any]] = lambda _: RESTORE,
        note: Note | None = None,
        begins: Callable[[Values], Values] = lambda _: {},
        along: Sequence[tuple[Any, Callable[[Values], Any]]] = (),
    ) -> None:
        self.store, self.panel, self.restore, self.note = shared.store, panel, restore, note
        self.begins, self.along = begins, along
        self.shown = [shown, panel.actions.status]
        self.visit, self.pending = hidden("visit"), hidden("pending")
        self.app, self.place = _root(), _place()
        shared.doors[str(self.app.current_page)] = self
        self.wish, self.address = (
            hidden("wish"),
            unseen(f"{SHARED}see(props, watch));", "lab-address"),
        )
        self.setting = gr.Button(visible="hidden", elem_id="lab-set")
        self.first: Values = {name: _value(each) for name, each in panel.asked.items()}
        self.put_back: Callable[[Values], dict[str, Any]] = lambda _: {}
        self.make: Callable[[str, Values], Kind] | None = None
        self.stages: Callable[[Kind], Iterable[Doing]] | None = None
        self.names = tuple(panel.asked)
        self.asked = [self.visit, *panel.asked.values()]
        source = self.names.index("source") if "source" in self.names else -1
        self.now = NOW.replace("SOURCE", str(source))
        if panel.picture is not None:
            strip.wire(panel.picture, panel.actions.status)
        panel.actions.stop.click(self._stop, self.visit, js=STOPPING, **QUICK)

    def opens(
        self,
        make: Callable[[str, Values], Kind],
        stages: Callable[[Kind], Iterable[Doing]],
        put_back: Callable[[Values], dict[str, Any]] | None = None,
    ) -> list[Any]:
        """Run, and a page that is come back to; gives the events that end a run."""
        self.make, self.stages = make, stages
        run = self.pressed(self.panel.actions.run, make, stages, share=True)
        return [run, self.returns(put_back)]

    def pressed(
        self,
        button: gr.Button,
        make: Callable[[str, Values], Kind],
        stages: Callable[[Kind], Iterable[Doing]],
        share: bool = False,
    ) -> Any:
        """The button makes a job of the controls and follows it; gives the event that ends it.

        `make(place, values)` raises EngineError where the controls ask for nothing that can be
        done; `stages(job)` says what is done in which lane, as (message, status) while it goes on.
        With `share`, who asks for the same as others follows their job.
        """
        store = self.store

        def begin(visitor: gr.Request, tab: str, *raw: Any) -> Any:
            place, values = self.place(tab, visitor), self._named(raw)
            try:
                job = make(place, values)
                doing = tuple(self._stage(job, *each) for each in stages(job))
                work = Work(place, doing, job.stop, job.clock)
                held = store.submit(job, work, values, share)
            except Full as problem:
                return gr.skip(), status.refused(problem), ""
            except EngineError as problem:
                return gr.skip(), status.error(problem), ""
            except Exception as problem:
                log.exception("a request failed")
                return gr.skip(), status.bug(problem), ""
            store.remember(place, values)
            if held is job:
                return gr.skip(), gr.skip(), job.id
            # What was said to this page before may be said again: it counts as new.
            return "", status.line(status.RUNNING, "busy"), held.id

        told = [*self.shown, self.pending]
        return self._watched(button.click(begin, self.asked, told, js=self.now, **MAKING))

    def returns(self, put_back: Callable[[Values], dict[str, Any]] | None = None) -> Any:
        """Who comes back finds the controls as they were left, and joins the run that goes on.

        `put_back(values)` says how controls look with these values, where a value is not all. Gives
        the event that ends the run that was joined.
        """
        if put_back is not None:
            self.put_back = put_back
        store, others = self.store, [*self._pictures, *(each for each, _ in self.along)]
        controls = self.panel.asked

        def come(visitor: gr.Request, tab: str, search: str) -> Any:
            place = self.place(tab, visitor)
            store.come(str(visitor.session_hash), place.partition("/")[0])
            job, values = store.current(place), store.remembered(place)
            asked, wished = link.asked(search), self.spelt(values)
            said = self._said(place, asked)
            if asked is None or (values is not None and asked.code == wished):
                looks = self._looks(values) if values is not None else None
            else:
                values, said["lost"] = self.set_up(asked.changes)
                looks = self._looks(values)
                store.remember(place, values)
            blank: list[Any] = [gr.skip()] * (len(controls) + len(others))
            return [tab, "" if job is None else job.id, json.dumps(said), *(looks or blank)]

        def put(visitor: gr.Request, tab: str, wish: str) -> Any:
            place = self.place(tab, visitor)
            wished = json.loads(wish)
            asked = link.Asked.of(wished)
            before = store.remembered(place) or self.first
            own = {each: before[each] for each in link.UPLOADS if each in before}
            values, lost = self.set_up(dict(asked.changes) | (own if asked.own else {}))
            store.remember(place, values)
            said = self._said(place, None) | {"lost": lost, "wish": wished.get("number", 0)}
            return [json.dumps(said), *self._looks(values)]

        shown = [*controls.values(), *others]
        arrived = self.app.load(
            come,
            [self.visit, self.wish],
            [self.visit, self.pending, self.address, *shown],
            js=VISITED,
            concurrency_limit=None,
            **PRIVATE,
        )
        asked = [self.visit, self.wish]
        told = [self.address, *shown]
        put_up = self.setting.click(put, asked, told, js=SETTING, trigger_mode="multiple", **QUICK)
        for each in (arrived, put_up):
            each.then(None, js=SETTLED, **QUICK)
        changes = [each.change for each in controls.values()]
        gr.on(changes, self._remember, trigger_mode="always_last", **self._noting)
        return self._watched(arrived)

    def set_up(self, changes: Values) -> tuple[Values, list[str]]:
        """How all controls stand with these changed, and which changes the page does not know."""
        known = {name: value for name, value in changes.items() if name in self.first}
        lost = [name for name in changes if name not in known]
        while True:
            try:
                values = dict(self.first) | dict(self.begins(known)) | known
                looks = self.put_back(values)
            except UNHEARD_OF:
                return self.first, list(changes)
            wrong = [
                name
                for name, value in known.items()
                if not link.fits(name, self.panel.asked[name], looks.get(name) or {}, value)
            ]
            if not wrong:
                return values, lost
            lost += wrong
            for name in wrong:
                del known[name]

    def spelt(self, values: Values | None) -> str:
        """The code of a link to the controls as they stand."""
        if values is None:
            return ""
        try:
            looks = self.put_back(values)
        except UNHEARD_OF:
            return ""
        seen = {n: v for n, v in values.items() if (looks.get(n) or {}).get("visible", True)}
        changed = {name: value for name, value in seen.items() if value != self.first[name]}
        at_first = dict(self.first) | dict(self.begins(changed))
        return link.spell(seen, at_first)

    @property
    def _pictures(self) -> list[Any]:
        return [] if self.panel.picture is None else self.panel.picture.shown

    def _looks(self, values: Values) -> list[Any]:
        """How controls and pictures look with these values."""
        own, controls = self.put_back(values), self.panel.asked
        looks = [own.get(name, _as_it_was(controls[name], values[name])) for name in controls]
        pictures = strip.look(str(values["source"])) if self._pictures else []
        return [*looks, *pictures, *(value(values) for _, value in self.along)]

    def _said(self, place: str, asked: link.Asked | None) -> dict[str, Any]:
        """What the page's address is told: how controls stand, whether the page shows what Run would
        give, and what came of a link."""
        code = self.spelt(self.store.remembered(place))
        drawn = self.store.drawn(place)
        own = link.read(code).own
        there = drawn is not None and self.spelt(drawn) == code
        said: dict[str, Any] = {"code": code, "own": own, "run": there and not own}
        if asked is not None:
            there = drawn is not None and self.spelt(drawn) == asked.code
            said |= {"press": asked.run and not asked.own and not there}
            said |= {"brought": asked.own and code != asked.code, "whole": asked.whole}
        return said

    def _stage(self, job: Kind, lane: str, sights: Sights) -> Stage:
        return lane, partial(told, self.store, job, sights, partial(self.restore, job))

    def _named(self, raw: Sequence[Any]) -> Values:
        return dict(zip(self.names, raw, strict=True))

    @property
    def _noting(self) -> dict[str, Any]:
        drawn = [self.address, *(self.note.drawn if self.note else ())]
        own = {"outputs": drawn, "js": self.now, "preprocess": False}
        return {"inputs": self.asked, **own, **QUICK}

    def _remember(self, visitor: gr.Request, visit: str, *raw: Any) -> Any:
        place, values = self.place(visit, visitor), self._named(raw)
        self.store.remember(place, values)
        said = self.note.said(place, values) if self.note else ()
        return [json.dumps(self._said(place, None)), *said]

    def _watched(self, begun: Any) -> Any:
        looks = watching(self.store, self.place, self.restore)
        done = begun.then(looks, [self.visit, self.pending], self.shown, **WATCHING)
        done.then(self._remember, **self._noting)
        return done

    def _stop(self, visitor: gr.Request, visit: str) -> None:
        self.store.halt(self.place(visit, visitor))


def _value(control: Any) -> Any:
    """How a control stands at first, as a browser says it."""
    value = control.value
    return getattr(value, "root", value)


def _as_it_was(control: Any, value: Any) -> Any:
    if isinstance(control, gr.File):
        return gr.update(value=[each["path"] for each in value or ()])
    return gr.update(value=value)


def _root() -> gr.Blocks:
    """The application that is being laid out now."""
    assert Context.root_block is not None, "a page is laid out inside gr.Blocks"
    return Context.root_block


def _place() -> Callable[[str, gr.Request], str]:
    """The place of a visit on the page that is being laid out now."""
    page = str(_root().current_page)

    def place(tab: str, visitor: gr.Request) -> str:
        name = tab if re.fullmatch(r"[\w-]{8,64}", str(tab or "")) else visitor.session_hash
        return f"{name}/{page}"

    return place


def told(
    store: Store, job: Job, sights: Sights, restore: Callable[[], dict[str, Any]]
) -> Generator[Told, None, None]:
    """What a job shows and says, as what the desk posts, until no place has it any more.

    The last good result stays, whatever fails; and what fails ends the work: no further stage is
    tried.
    """
    try:
        while store.held(job) and (sight := next(sights, None)) is not None:
            if not store.held(job):
                return
            drawn, said = sight
            if drawn is not None:
                store.draw(job)
                yield OPENING if drawn.get("kind") == "open" else SHOWN, text(drawn)
            if said is not None:
                yield STATUS, said
    except EngineError as problem:
        yield SHOWN, text(restore())
        yield STATUS, status.error(problem)
        raise
    except Exception as problem:
        log.exception("a run failed")
        yield SHOWN, text(restore())
        yield STATUS, status.bug(problem)
        raise
    finally:
        store.grown(job)


def watching(
    store: Store,
    place: Callable[[str, gr.Request], str],
    restore: Callable[[Any], dict[str, Any]],
) -> Callable[[gr.Request, str, str], AsyncIterator[Any]]:
    """What the pending job has to say, as (shown, status), for as long as it is the place's: whatever is
    new comes in one piece."""

    async def look(visitor: gr.Request, tab: str, pending: str) -> AsyncIterator[Any]:
        job, work = store.get(pending), store.work(pending)
        if job is None or work is None:
            yield gr.skip(), gr.skip()  # else gradio blanks what an error has just said
            return
        here, reads = place(tab, visitor), reader(str(visitor.session_hash))
        present = lambda: store.holds(here, pending) and reads()  # noqa: E731
        async for news in watch(store.desk, work, present=present):
            shown = [each for slot, each in news if slot in (OPENING, SHOWN)]
            told = dict(news)
            said = status.waiting(told[LINE]) if LINE in told else told.get(STATUS, gr.skip())
            yield together(*shown) if shown else gr.skip(), said
        if store.holds(here, ""):  # others go on with it
            yield together(text(restore(job))), status.left()
        yield gr.skip(), gr.skip()  # what is said last, gradio sends twice

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
