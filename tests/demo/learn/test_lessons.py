"""Every lesson is what its words say: each step is run as a visitor's browser would have it run, and what
the step asserts must be there, with its margin."""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from demo.learn.catalog import BY_NAME, LESSONS
from demo.learn.glossary import GLOSSARY
from demo.learn.lesson import Ask, Choose, Estimate, Lesson, Seen, Setup
from engine.__main__ import parser

ROOT = Path(__file__).parents[3]
DEMO, NOTES = ROOT / "demo", ROOT / "docs" / "lessons"
ORDER = ("fooled", "travel", "masked", "waking", "outliers", "armour")
HEADINGS = (
    "At a glance",
    "Step by step",
    "Misconceptions",
    "Questions to discuss",
    "Without a projector",
    "Handout",
    "Lab sheet",
)
MOST_SECONDS = 2 * 10  # of computing: 10 s on two cores
STEPS = [(name, i) for name, lesson in BY_NAME.items() for i in range(len(lesson.steps))]
RUNS = [(name, i) for name, i in STEPS if BY_NAME[name].steps[i].see]
VOID = {"br", "hr", "img", "wbr"}
Rehearse = Callable[[str, Setup], Any]


def by_name(pairs: list[tuple[str, int]]) -> Any:
    return pytest.mark.parametrize(("name", "i"), pairs, ids=[f"{n}-{i}" for n, i in pairs])


each_lesson = pytest.mark.parametrize("lesson", LESSONS, ids=list(BY_NAME))


@pytest.fixture(scope="module")
def rehearse(doors: Any) -> Rehearse:
    """What a page finds where its controls are set up so; equal setups are computed once."""
    done: dict[str, Any] = {}

    def run(page: str, setup: Setup) -> Any:
        key = json.dumps([page, dict(setup)], sort_keys=True)
        if key not in done:
            door = doors[page]
            values, lost = door.set_up(setup)
            assert lost == [], f"the page {page!r} does not know {lost}"
            job = door.make(f"lessons/{page}", values)
            began = time.process_time()
            for _, sights in door.stages(job):
                for _ in sights:
                    pass
            assert time.process_time() - began < MOST_SECONDS
            done[key] = job.outcome
        return done[key]

    return run


def test_lessons_stand_in_the_order_of_a_course() -> None:
    assert list(BY_NAME) == [name for name in ORDER if name in BY_NAME]


@each_lesson
def test_a_lesson_is_short(lesson: Lesson) -> None:
    assert 6 <= len(lesson.steps) <= 9
    assert 10 <= lesson.minutes <= 15
    assert lesson.task.hints


@by_name(RUNS)
def test_what_a_step_says_is_there(name: str, i: int, rehearse: Rehearse) -> None:
    step = BY_NAME[name].steps[i]
    assert step.see is not None
    seen = step.see(rehearse(step.page, step.setup))
    assert seen.said
    assert balanced(seen.said)
    assert seen.margin > 0, seen.said
    assert step.ask is not None
    assert fits(step.ask, seen), seen.answer


@each_lesson
def test_a_task_is_done_by_its_solution_and_not_at_first(
    lesson: Lesson, rehearse: Rehearse
) -> None:
    task = lesson.task
    at_first = task.check(rehearse(task.page, task.setup))
    assert not at_first.done, at_first.said
    solved = task.check(rehearse(task.page, task.solution))
    assert solved.done, solved.said
    assert at_first.said != solved.said


@by_name(STEPS)
def test_a_step_predicts_runs_points_and_explains(name: str, i: int, house: Any) -> None:
    step = BY_NAME[name].steps[i]
    assert (step.ask is None) == (step.see is None), "what is run is predicted first"
    if step.see is not None:
        assert step.look
        assert step.explain
    if step.tab:
        assert step.page == ""
        assert step.tab in {each.label for each in laid(house[1], "") if isinstance(each, gr.Tab)}
    ids, classes = named(step.point)
    assert ids | classes or not step.point
    assert ids <= {each.elem_id for each in laid(house[1], step.page)}
    for each in classes:
        assert re.search(rf"\b{each}\b", scripts()), f"no script draws .{each}"
    for key in step.select:
        assert re.search(rf"\b{key}:", scripts()), f"no page's store has {key!r}"


@each_lesson
def test_words_are_whole_and_their_terms_are_explained(lesson: Lesson) -> None:
    for words in told(lesson):
        assert balanced(words), words
        for term in re.findall(r"\[\[([^]|]+)(?:\|[^]]*)?\]\]", words):
            assert term in GLOSSARY, term


def test_the_glossary_is_in_order_and_whole() -> None:
    assert list(GLOSSARY) == sorted(GLOSSARY, key=str.casefold)
    for term, words in GLOSSARY.items():
        assert balanced(words), term


@each_lesson
def test_a_teacher_has_notes(lesson: Lesson) -> None:
    notes = (NOTES / f"{lesson.name}.md").read_text(encoding="utf-8")
    assert notes.startswith(f"# {lesson.title}\n")
    found = re.findall(r"^## (.+)$", notes, re.M)
    assert found == list(HEADINGS)
    commands = re.findall(r"^python -m engine (.+)$", notes, re.M)
    assert commands
    for command in commands:
        assert callable(parser().parse_args(shlex.split(command)).run)


def fits(ask: Ask, seen: Seen) -> bool:
    """Whether a visitor could have given the measured answer."""
    answer = seen.answer
    if isinstance(ask, Choose):
        return answer in dict(ask.options)
    if isinstance(ask, Estimate):
        return isinstance(answer, int | float) and ask.low <= answer <= ask.high
    cells = ask.grid[0] * ask.grid[1]
    return (
        isinstance(answer, tuple)
        and len(set(answer)) == ask.count
        and all(0 <= each < cells for each in answer)
    )


def told(lesson: Lesson) -> Iterator[str]:
    """All that a lesson says and that no run has a part in."""
    yield from (lesson.title, lesson.question, lesson.paper)
    yield from (lesson.task.text, *lesson.task.hints)
    for step in lesson.steps:
        yield from (step.title, step.text, step.look, step.explain, step.equation, step.source)
        if step.ask is not None:
            yield step.ask.question
        if isinstance(step.ask, Choose):
            yield from (words for _, words in step.ask.options)


def balanced(words: str) -> bool:
    """Whether every element of a piece of HTML ends."""
    open_now: list[str] = []
    ends: list[bool] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: Any) -> None:
            if tag not in VOID:
                open_now.append(tag)

        def handle_endtag(self, tag: str) -> None:
            ends.append(bool(open_now) and open_now.pop() == tag)

    reader = Reader()
    reader.feed(words)
    reader.close()
    return all(ends) and not open_now


def named(selector: str) -> tuple[set[str], set[str]]:
    """The ids and classes of a selector."""
    bare = re.sub(r"\[[^]]*\]", "", selector)
    ids, classes = (set(re.findall(rf"\{sign}([\w-]+)", bare)) for sign in "#.")
    return ids, classes


def laid(demo: Any, page: str) -> list[Any]:
    return [each for each in demo.blocks.values() if each.page == page]


def scripts() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(DEMO.rglob("*.js")))
