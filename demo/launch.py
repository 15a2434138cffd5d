"""Run and Stop, the same on every page: the controls make a job, it is driven, and told of."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import gradio as gr

from demo import status
from demo.store import Kept, Store
from engine.core.errors import EngineError

log = logging.getLogger(__name__)

SECONDS_BETWEEN_UPDATES = 0.2
PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
QUICK: dict[str, Any] = {"queue": False, **PRIVATE}
# Two events: one makes the job and is over at once, one drives it when it is its turn.
MAKING: dict[str, Any] = {
    "preprocess": False,
    "concurrency_limit": 8,
    "trigger_mode": "multiple",
    **PRIVATE,
}
DRIVING: dict[str, Any] = {"trigger_mode": "multiple", **PRIVATE}
STOPPING = f"""() => {{
  const said = document.querySelector("#status [data-kind=busy] b");
  if (said) said.textContent = "{status.STOPPING}";
  return [];
}}"""


class Panel(Protocol):
    """A page's controls, as far as Run and Stop need them."""

    run: gr.Button
    stop: gr.Button
    status: gr.HTML

    @property
    def asked(self) -> list[gr.components.Component]: ...


def launch(
    store: Store,
    panel: Panel,
    shown: gr.HTML,
    make: Callable[[str, Sequence[Any]], Kept],
    follow: Callable[[Any], Iterator[Any]],
    restore: Callable[[Any], Any],
    slots: dict[str, Any],
) -> Any:
    """Run: `make(session, values)` gives a job, `follow(job)` yields (shown, status) as it goes on.

    `restore(job)` is what `shown` is told where the job fails; `slots` says how many may go on at
    once. Gives the event that ends a run.
    """
    pending = gr.State("")

    def begin(visitor: gr.Request, *values: Any) -> Any:
        session = str(visitor.session_hash)
        try:
            job = make(session, values)
        except EngineError as problem:
            return status.error(problem), ""
        except Exception as problem:
            log.exception("a request failed")
            return status.bug(problem), ""
        halt(store, session)
        store.add(job)
        return status.line(status.WAITING, "busy"), job.id

    begun = panel.run.click(begin, panel.asked, [panel.status, pending], **MAKING)
    work = driven(store, follow, restore)
    stops(store, panel.stop)
    return begun.then(work, pending, [shown, panel.status], **slots, **DRIVING)


def halt(store: Store, session: str) -> None:
    """What a visitor's page has under way ends after its step."""
    before = store.current(session)
    if before is not None:
        before.stop.set()


def driven(
    store: Store, follow: Callable[[Any], Iterator[Any]], restore: Callable[[Any], Any]
) -> Callable[[str], Iterator[Any]]:
    """Drive the pending job: (shown, status). The last good result stays, whatever goes wrong."""

    def handle(pending: str) -> Iterator[Any]:
        job = store.get(pending) if pending else None
        if job is None:
            yield gr.skip(), gr.skip()  # else gradio blanks what an error has just said
            return
        try:
            yield from follow(job)
        except EngineError as problem:
            yield restore(job), status.error(problem)
        except Exception as problem:
            log.exception("a run failed")
            yield restore(job), status.bug(problem)

    return handle


def stops(store: Store, button: gr.Button) -> None:
    """Stop ends the visitor's run after its step.

    The page says so itself, at once: told from here, it could arrive after the run's last word.
    """

    def stop(visitor: gr.Request) -> None:
        halt(store, str(visitor.session_hash))

    button.click(stop, js=STOPPING, **QUICK)
