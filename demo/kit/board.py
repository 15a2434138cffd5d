"""The part of a page that a report fills: frames for its views, words and charts beside them, and how
a run is followed there. The script's half is `js/board.js`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
import plotly.graph_objects as go

from demo.kit import plots, status
from demo.kit.door import RESTORE, Doing, Door, Note, Pace, Shared, Sights
from demo.kit.events import QUICK
from demo.kit.frame import said_frame, unseen, view_frame
from demo.kit.loading import Loading
from demo.kit.packing import text, together
from demo.kit.panel import Panel
from demo.kit.reporting import Choice, Default, Reporting
from demo.kit.scripts import on_load
from demo.kit.sections import updates
from demo.kit.store import Values
from demo.kit.stored import Message
from engine.core.errors import EngineError
from engine.papers.report import Report, Working

Trial = Reporting[Any, Any]


@dataclass(frozen=True)
class Board:
    """What a room makes of its runs; `name` begins the ids of its elements.

    `default` is the run that stands there first, and how any is asked for, driven and told; `chosen` is
    the choice as the controls stand, `sections` the values of the parts beside the views (of None: empty
    ones), `detail` what is said of a step. A run may take `patience` seconds.
    """

    name: str
    default: Default
    chosen: Callable[[Values, Path | None], Choice]
    sections: Callable[[Message | None], list[Any]]
    detail: Callable[[Any], str]
    patience: float

    def at_first(self, weights: Path | None) -> tuple[Message | None, str]:
        """What stands there before anyone presses Run, and what the line beside the button says of it."""
        try:
            earlier = self.default.stored(weights)
        except EngineError as problem:
            return None, status.error(problem)
        return earlier, status.line(status.EARLIER if earlier else status.EMPTY)

    def shown(self, earlier: Message | None) -> gr.HTML:
        """The board itself, whose value are the latest messages."""
        value = together(text(earlier)) if earlier else None
        return self._view("board", "board(element, props, watch)", value)

    def view(self, name: str) -> gr.HTML:
        """A view that the page's script mounts by its name."""
        return self._view(name, f"mount('{name}', element)")

    def said(self, name: str, words: str) -> gr.HTML:
        """A section of words."""
        return said_frame(words, _data(name), f"{self.name}-{name}")

    def plot(self, figure: go.Figure | None, name: str) -> gr.Plot:
        """A chart of a section."""
        return plots.plot(figure, f"{self.name}-{name}")

    def opens(self, shared: Shared, made: Panel, shown: gr.HTML, parts: list[Any]) -> None:
        """Run and Stop, the note of what was chosen since, and the sections, which follow the board."""
        weights = shared.weights
        note = Note(
            [unseen(on_load("choose(props, watch)"), f"{self.name}-chosen")],
            lambda _, values: [json.dumps(self.chosen(values, weights))],
        )
        door = Door[Trial](shared, made, shown, note=note)
        door.opens(partial(self._trial, weights), self._stages)

        def beside(visitor: gr.Request, visit: str) -> Any:
            """The sections of the report that the board has now."""
            trial = door.store.current(door.place(visit, visitor))
            if not isinstance(trial, Reporting) or trial.told is None:
                return [gr.skip()] * len(parts)
            return updates(parts, self.sections(trial.told))

        shown.change(beside, door.visit, parts, **QUICK)

    def _view(self, name: str, script: str, value: Any = None) -> gr.HTML:
        return view_frame(_data(name), on_load(script), f"{self.name}-{name}", value)

    def _trial(self, weights: Path | None, place: str, values: Values) -> Trial:
        return Trial(self.default.question(values, weights), place=place)

    def _stages(self, trial: Trial) -> Iterator[Doing]:
        yield "torch", self._follow(trial)

    def _follow(self, trial: Trial) -> Sights:
        """What happens in a run, thinned to what an eye can follow."""
        pace = Pace()
        for event in self.default.drive(trial):
            if isinstance(event, Loading):
                yield working(trial), status.loading(event)
            elif isinstance(event, Report):
                trial.told = self.default.message(trial, event)
                yield trial.told, None
            elif not pace.due:
                continue
            elif isinstance(event, Working):
                yield None, status.attacking(event.step, event.steps, self.detail(event))
            else:
                yield None, status.progress(event)
        yield RESTORE if trial.report is None else None, self._ended(trial, pace.spent)

    def _ended(self, trial: Trial, seconds: float) -> str:
        if trial.report is None:
            return status.line(status.BEFORE, "done")
        found: Report = trial.report
        done = f"{found.steps} of {found.asked} {found.counted}" if found.asked else ""
        return status.ended(trial, seconds, self.patience, done, found.whole)


def working(trial: Trial) -> Message:
    """A run is under way: what stands there is of the one before."""
    return {"kind": "working", "run": trial.id, "choice": trial.question.choice}


def _data(name: str) -> str:
    return f'data-state="run" data-part="{name}"'
