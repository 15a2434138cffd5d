"""The lesson on the page itself: what the dock asks of the server, as JSON text both ways.

The dock sets the page's own controls and presses its own Run; here it is told what a step says, and
what a run of that very setting has shown.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import gradio as gr

from demo.kit.door import Door, Shared
from demo.kit.job import Job
from demo.learn import classes
from demo.learn.catalog import BY_NAME
from demo.learn.lesson import Ask, Choose, Estimate, Lesson, Step, Task
from demo.learn.words import render
from engine.core.errors import BadTask, EngineError, UnknownName

log = logging.getLogger(__name__)

MOUNT = "window.labLesson?.then((lesson) => lesson.open(server));"
MOST_LETTERS = 4000
NEAR = 0.1
"""The share of its scale by which an estimate may miss and still count as near."""

Said = dict[str, Any]
Function = Callable[[str], str]


class NoRun(EngineError):
    """There is nothing on the page yet that a step or a task could be held against."""


@dataclass(frozen=True)
class Wish:
    """What a dock asks: whose run, of which lesson and step, and what was predicted."""

    name: str
    visit: str = ""
    step: int = 0
    predicted: Any = None

    @classmethod
    def of(cls, request: Any) -> Wish:
        """What a browser sent; raises BadTask where that is nothing a dock would send."""
        odd = BadTask("The page asked for something that no lesson has.", "Open the lesson again.")
        if not isinstance(request, str) or len(request) > MOST_LETTERS:
            raise odd
        try:
            asked = json.loads(request)
            return cls(str(asked["name"]), str(asked.get("visit", "")), **_of_step(asked))
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as problem:
            raise odd from problem


def _of_step(asked: Said) -> Said:
    return {"step": int(asked.get("step", 0)), "predicted": asked.get("predicted")}


@dataclass(frozen=True)
class Desk:
    """What a lesson's dock may ask, of the runs that visitors have made on these pages."""

    shared: Shared
    lessons: Mapping[str, Lesson]

    @property
    def functions(self) -> list[Function]:
        """The functions of the server, as a component takes them."""
        return [answering(each) for each in (self.lesson, self.seen, self.check)]

    def lesson(self, wish: Wish) -> Said:
        """All that a lesson says, ready to be shown."""
        return shown(self._lesson(wish.name))

    def seen(self, wish: Wish) -> Said:
        """What the visit's run has shown: `own` where it is of other settings than the step's, else
        `said`, the `answer`, whether what was `predicted` is `near` it, and whether the effect `holds`."""
        step = _step(self._lesson(wish.name), wish.step)
        door, job = self._run(wish.visit, step)
        drawn = door.store.drawn(_place(wish.visit, step.page))
        if door.spelt(drawn) != door.spelt(door.set_up(step.setup)[0]):
            return {"own": True}
        if job.why not in (None, "finished"):
            raise NoRun("The run was stopped before its end.", "Press Run it once more.")
        assert step.see is not None
        found = step.see(job.outcome)
        said = {"own": False, "said": render(found.said), "answer": found.answer}
        return said | {
            "near": step.ask is not None and near(step.ask, wish.predicted, found.answer),
            "holds": found.margin > 0,
        }

    def check(self, wish: Wish) -> Said:
        """Whether the visit's own run does what the lesson's task asks for."""
        task = self._lesson(wish.name).task
        checked = task.check(self._run(wish.visit, task)[1].outcome)
        return {"done": checked.done, "said": render(checked.said)}

    def _lesson(self, name: str) -> Lesson:
        if name not in self.lessons:
            raise UnknownName("lesson", name[:40], tuple(self.lessons))
        return self.lessons[name]

    def _run(self, visit: str, on: Step | Task) -> tuple[Door[Any], Job]:
        """The page's door and the visit's latest run there, which has an outcome."""
        door = self.shared.doors[on.page]
        job = door.store.current(_place(visit, on.page))
        if job is None:
            raise NoRun("There is no run of yours on this page.", "Press Run, and look again.")
        if not door.store.over(job):
            raise NoRun("Your run is still under way.", "Wait for its end, then look again.")
        if job.outcome is None:
            raise NoRun("Your run has brought nothing.", "Read the line beside Run, and run again.")
        return door, job


def lay(shared: Shared, book: classes.Book) -> None:
    """The dock's line to the server, on the page that is being laid out: nothing is seen of it, and
    nothing is asked, unless the address names a lesson."""
    gr.HTML(
        "",
        html_template="<i hidden></i>",
        css_template="",
        js_on_load=MOUNT,
        apply_default_css=False,
        visible="hidden",
        elem_id="lab-lesson",
        server_functions=[*Desk(shared, BY_NAME).functions, *classes.functions(book)],
    )


def shown(lesson: Lesson) -> Said:
    """A lesson as the dock reads it: words as HTML, and what the dock has to do."""
    task = lesson.task
    return {
        "name": lesson.name,
        "title": lesson.title,
        "question": lesson.question,
        "minutes": lesson.minutes,
        "paper": render(lesson.paper),
        "steps": [_shown_step(each) for each in lesson.steps],
        "task": {
            "text": render(task.text),
            "hints": [render(each) for each in task.hints],
            "solution": dict(task.solution),
            "page": task.page,
            "setup": dict(task.setup),
        },
    }


def _shown_step(step: Step) -> Said:
    said = {
        name: render(getattr(step, name))
        for name in ("text", "look", "explain", "equation", "source")
    }
    done = {name: getattr(step, name) for name in ("title", "page", "tab", "point")}
    return {
        **said,
        **done,
        "setup": dict(step.setup),
        "select": dict(step.select),
        "runs": step.see is not None,
        "ask": None if step.ask is None else _shown_ask(step.ask),
    }


def _shown_ask(ask: Ask) -> Said:
    kind = type(ask).__name__.lower()
    return asdict(ask) | {"kind": kind, "question": render(ask.question)}


def near(ask: Ask, predicted: Any, answer: Any) -> bool:
    """Whether a prediction is right, or about right: an estimate within a tenth of its scale, at least
    half of the marks on cells that count."""
    if isinstance(ask, Choose):
        return predicted == answer
    if isinstance(ask, Estimate):
        reach = max(ask.step, NEAR * (ask.high - ask.low))
        return isinstance(predicted, int | float) and abs(predicted - answer) <= reach
    if not isinstance(predicted, list):
        return False
    hits = {each for each in set(answer) if each in predicted}
    return 2 * len(hits) >= min(ask.count, len(set(answer)))


def answering(act: Callable[[Wish], Said]) -> Function:
    """A function of the server, JSON text in and out: what goes wrong is a `problem` that can be read."""

    def answer(request: str) -> str:
        try:
            return json.dumps(act(Wish.of(request)))
        except EngineError as problem:
            return json.dumps({"problem": str(problem)})
        except Exception as problem:
            log.exception("a lesson failed")
            said = (
                f"This is a fault of ours ({type(problem).__name__}), not yours. It is in the log."
            )
            return json.dumps({"problem": said})

    answer.__name__ = act.__name__
    return answer


def _step(lesson: Lesson, index: int) -> Step:
    step = lesson.steps[index] if 0 <= index < len(lesson.steps) else None
    if step is None or step.see is None:
        raise BadTask("There is no such step to run in this lesson.", "Open the lesson again.")
    return step


def _place(visit: str, page: str) -> str:
    if not re.fullmatch(r"[\w-]{8,64}", visit):
        raise NoRun("This browser keeps nothing for a tab.", "Allow the page to use its storage.")
    return f"{visit}/{page}"
