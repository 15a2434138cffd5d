"""Laws of a class at one machine: turns interleave, equal runs are one, and nobody gets another's."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
import torch
from PIL import Image
from visitor import alone

from demo.kit import desk as kit
from demo.kit import status
from demo.kit.desk import SHOWN, Desk, Full, Line, Wait, Work
from demo.kit.door import told, watching
from demo.kit.identity import digest
from demo.kit.job import Clock, Job
from demo.kit.reporting import Question, Reporting
from demo.kit.store import Store
from demo.lab import first, page, running
from demo.lab.running import Attempt, drive
from engine.alter.catalog import parse
from engine.attack.catalog import recipe
from engine.papers.paper import Exhibit
from engine.studio import Request, Run

PATIENCE = 60
LANES = {"torch": 1}


@pytest.fixture
def store() -> Iterator[Store]:
    made = Store(Desk(LANES), away=0.01)
    yield made
    made.desk.close()


@pytest.fixture
def asked() -> Request:
    found = first.request()
    assert found is not None
    return replace(found, recipe=recipe("pgd", steps=2), others=(), views=False)


def ask(store: Store, place: str, request: Request) -> Attempt:
    """Run, as a page's door has it: the attempt that the place holds then."""
    job = Attempt(request, place=place)
    stages = [
        (lane, partial(told, store, job, sights, lambda: {"kind": "restore"}))
        for lane, sights in page.stages(job)
    ]
    work = Work(place, tuple(stages), job.stop, job.clock)
    return store.submit(job, work, {"of": place}, share=True)


def finished(store: Store, *jobs: Job) -> None:
    for job in jobs:
        work = store.work(job.id)
        assert work is not None
        assert work.over.wait(PATIENCE)
        assert work.failed is None


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """What is computed."""
    made: list[Request] = []

    def counted(request: Request) -> Run:
        made.append(request)
        return Run(request)

    monkeypatch.setattr(running, "Run", counted)
    return made


def seen(store: Store, place: str, job: Job) -> list[Any]:
    """All that a browser at that place is told of a job, in one go."""
    visitor: Any = SimpleNamespace(session_hash="here")
    look = watching(store, lambda tab, _: tab, lambda _: {"kind": "restore"})

    async def read() -> list[Any]:
        return [each async for each in look(visitor, place, job.id)]

    return alone(read())


def test_equal_requests_are_computed_once_and_told_to_all_who_asked(
    store: Store, asked: Request, runs: list[Request]
) -> None:
    jobs = [ask(store, f"v{number}/", asked) for number in range(3)]
    finished(store, *jobs)
    late = ask(store, "late/", replace(asked, image=asked.image.copy()))
    assert len(runs) == 1
    assert {id(store.current(f"v{number}/")) for number in range(3)} == {id(late)}
    told_all = [seen(store, place, late) for place in ("v0/", "v2/", "late/")]
    assert told_all[0] == told_all[1] == told_all[2]
    assert '"kind":"run"' in told_all[0][0][0]
    assert store.drawn("late/") == {"of": "late/"}  # whose controls are their own


def _bit(image: Image.Image) -> Image.Image:
    other = image.copy()
    r, *rest = other.getpixel((3, 5))  # pyright: ignore[reportGeneralTypeIssues]
    other.putpixel((3, 5), (r ^ 1, *rest))
    return other


OTHERWISE = {
    "one bit of the picture": lambda r: replace(r, image=_bit(r.image)),
    "the picture's name": lambda r: replace(r, name="other.png"),
    "the model": lambda r: replace(r, model="resnet_imagenette"),
    "a knob": lambda r: replace(r, recipe=replace(r.recipe, steps=3)),
    "the attack": lambda r: replace(r, recipe=recipe("mifgsm", steps=2)),
    "the seed": lambda r: replace(r, seed=1),
    "the label": lambda r: replace(r, label=0),
    "the target": lambda r: replace(r, target=0),
    "models it is shown to": lambda r: replace(r, others=("resnet_imagenette",)),
    "the stack": lambda r: replace(r, alter=(parse("ats"),)),
    "a knob of the stack": lambda r: replace(r, alter=(parse("int8:threshold=4"),)),
    "what it is crafted on": lambda r: replace(r, craft_on=()),
    "what the picture shows": lambda r: replace(r, stranger="church"),
    "whether views are recorded": lambda r: replace(r, views=not r.views),
}


def test_what_differs_in_anything_is_another_computation(asked: Request) -> None:
    keys = {Attempt(asked).key, *(Attempt(make(asked)).key for make in OTHERWISE.values())}
    assert len(keys) == 1 + len(OTHERWISE)
    assert Attempt(replace(asked, image=asked.image.copy())).key in keys
    assert digest(1, 23) != digest(12, 3) != digest("12", 3)
    with pytest.raises(TypeError, match="no digest"):
        digest(object())


def test_two_pages_share_no_report(asked: Request) -> None:
    """Each tells its report in its own way, and a choice stands in what is told."""
    exhibit = Exhibit(asked.image, "church", asked.model)
    question = Question(exhibit, asked.recipe, "PGD", {"picture": "Church"})
    key = Reporting[Any, Any](question, place="me/cost").key
    assert Reporting[Any, Any](question, place="you/cost").key == key
    assert Reporting[Any, Any](question, place="me/defend").key != key
    other = replace(question, choice={"picture": "Another"})
    assert Reporting[Any, Any](other, place="me/cost").key != key


def test_what_was_stopped_is_not_shared(store: Store, asked: Request) -> None:
    job = ask(store, "me/", asked)
    store.halt("me/")
    finished(store, job)
    other = ask(store, "you/", asked)
    finished(store, other)
    assert (job.why, other.why) == ("stopped", "finished")


class Held(Job):
    """One of a kind that stands still until it is let go, step by step."""

    key = "the same"  # pyright: ignore[reportAssignmentType]


def hold(store: Store, place: str, gate: threading.Event) -> Held:
    job = Held(place=place)

    def steps() -> Iterator[Any]:
        while not job.stop.is_set() and not gate.is_set():
            yield {"kind": "live"}, "goes on"
            gate.wait(0.01)
        job.why = "stopped" if job.stop.is_set() else "finished"
        yield {"kind": "run"}, "ended"

    work = Work(place, (("torch", partial(told, store, job, steps(), dict)),), job.stop, job.clock)
    return store.submit(job, work, {}, share=True)


def test_stop_of_one_stops_nobody_else(store: Store) -> None:
    gate = threading.Event()
    job = hold(store, "a/", gate)
    assert hold(store, "b/", gate) is job
    store.halt("a/")
    assert not job.stop.is_set()
    assert store.current("a/") is None
    (said, line), *_ = seen(store, "a/", job)
    assert said == '[{"kind":"restore"}]'
    assert line == status.left()
    gate.set()
    finished(store, job)
    assert store.current("b/") is job
    assert job.why == "finished"


def test_the_last_who_stops_or_goes_ends_it(store: Store) -> None:
    gate = threading.Event()
    job = hold(store, "a/", gate)
    for visit in "bc":
        assert hold(store, f"{visit}/", gate) is job
        store.come(f"page of {visit}", visit)
    store.halt("a/")
    store.leave("page of b")
    assert not job.stop.is_set()
    store.leave("page of c")
    assert job.stop.wait(PATIENCE)
    finished(store, job)
    assert job.why == "stopped"
    assert store.current("b/") is job  # found again by who comes back
    again = hold(store, "d/", gate)
    assert again is not job
    gate.set()
    finished(store, again)


def test_another_run_leaves_the_shared_one_to_the_others(store: Store, asked: Request) -> None:
    gate = threading.Event()
    job = hold(store, "a/", gate)
    hold(store, "b/", gate)
    own = ask(store, "a/", asked)
    assert not job.stop.is_set()
    finished(store, own)  # though the other goes on: they interleave
    assert (store.current("a/"), store.current("b/")) == (own, job)
    assert seen(store, "a/", job)[:-1] == []  # whoever watched it there is told no more
    gate.set()
    finished(store, job)


def test_a_first_step_comes_before_a_long_run_ends_and_no_turn_is_lost() -> None:
    desk, came = Desk(LANES), threading.Event()

    def long() -> Iterator[Any]:
        number = 0
        while not came.is_set():
            number += 1
            yield SHOWN, number
        yield SHOWN, "end"

    def short() -> Iterator[Any]:
        came.set()
        yield SHOWN, "step"

    works = [
        desk.submit(Work(name, (("torch", act),))) for name, act in (("a", long), ("b", short))
    ]
    assert all(each.over.wait(PATIENCE) for each in works)
    assert [each.mail.kept for each in works] == [["end"], ["step"]]
    desk.close()


def _line(*works: Work) -> Line:
    line = Line()
    for each in works:
        line.enter(each)
    return line


def _work(visitor: str) -> Work:
    return Work(visitor, (("torch", lambda: iter(())),))  # pyright: ignore[reportArgumentType]


def _turn(line: Line, seconds: float, shows: bool = True) -> str:
    work = line.take()
    assert work is not None
    work.doing = work.doing or iter(())  # pyright: ignore[reportAttributeAccessIssue]
    if shows:
        work.mail.post(SHOWN, "")
    line.took(work, seconds, over=False)
    return work.visitor


def test_all_are_shown_something_first_then_the_first_ends_first_and_rounds_are_fair() -> None:
    line = _line(*map(_work, "abc"))
    order = [_turn(line, 1.0, shows) for shows in (False, True, True, True)]
    assert order == ["a", "a", "b", "c"]
    assert [_turn(line, 1.0) for _ in range(5)] == ["a", "b", "b", "c", "c"]
    line.enter(_work("new"))
    assert _turn(line, 4.0) == "new"  # comes as one who has had as much as those who had least
    assert [_turn(line, 1.0) for _ in range(3)] == ["a", "a", "a"]


def test_no_more_are_begun_at_once_than_memory_is_meant_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kit, "MOST_BEGUN", 2)
    line = _line(*map(_work, "abcd"))
    assert {_turn(line, 1.0) for _ in range(12)} == {"a", "b"}
    (ended,) = (each for each in line.waiting if each.visitor == "a")
    line.waiting.remove(ended)
    assert "c" in {_turn(line, 1.0) for _ in range(9)}


def test_a_place_in_the_line_comes_with_the_seconds_of_runs_before() -> None:
    line = _line(_work("early"))
    (early,) = line.waiting
    _turn(line, 0.5)
    assert line.take() is early
    line.took(early, 1.5, over=True)
    for each in "abc":
        line.enter(_work(each))
    assert [line.wait(each) for each in line.waiting] == [Wait(n + 1, 0.5 * n) for n in range(3)]
    assert "3rd in the line, about 20 s" in status.waiting(Wait(3, 20.2))
    assert "21st in the line." in status.waiting(Wait(21, None))
    assert "Others have their turn" in status.waiting(Wait(11, None, begun=True))


def test_steps_of_two_runs_interleave_and_neither_changes_by_it(
    store: Store, asked: Request
) -> None:
    requests = [replace(asked, seed=seed) for seed in (1, 2)]
    single = [Attempt(each) for each in requests]
    for each in single:
        list(drive(each))
    jobs = [ask(store, f"v{number}/", each) for number, each in enumerate(requests)]
    finished(store, *jobs)
    for one, other in zip(single, jobs, strict=True):
        assert one.result is not None
        assert other.result is not None
        assert torch.equal(one.result.adversarial.pixels, other.result.adversarial.pixels)
        assert one.result.losses == other.result.losses
    a, b = (each.result for each in jobs)
    assert a is not None
    assert b is not None
    assert a.losses != b.losses


def test_time_that_others_had_is_nobodys_own(monkeypatch: pytest.MonkeyPatch) -> None:
    now = SimpleNamespace(monotonic=lambda: now.at, at=100.0)
    monkeypatch.setattr("demo.kit.job.time", now)
    job = Job(clock=Clock())
    limit = job.limit(10.0)
    now.at += 6
    job.clock.rest()
    now.at += 60
    job.clock.go_on()
    assert not limit.over()
    now.at += 5
    assert limit.over()
    assert limit.why(finished=False) == "late"


def test_runs_that_go_on_are_not_dropped_for_results_that_are_kept(store: Store) -> None:
    gate = threading.Event()
    store.most_runs = 1
    job = hold(store, "a/", gate)
    done = store.add(Job(place="b/"))
    store.add(Job(place="c/"))
    assert store.get(job.id) is job
    assert store.get(done.id) is None
    gate.set()
    finished(store, job)


def test_who_is_refused_has_a_sentence_and_a_button() -> None:
    said = status.refused(Full("Too many runs are waiting.", "Try again in a minute."))
    assert "Too many runs are waiting." in said
    assert "<button" in said
    assert "data-again" in said
    assert gr.HTML(said).value == said
