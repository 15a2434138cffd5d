"""Laws of the desk: fair turns, nothing lost, nothing held, and anyone may watch."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from visitor import alone

from demo.kit.desk import LINE, OPENING, SHOWN, STATUS, Busy, Desk, Mail, Wait, Work, watch
from demo.kit.door import told, watching
from demo.kit.job import Job
from demo.kit.packing import text
from demo.kit.store import Store
from engine.core.errors import WeightsUnavailable

PATIENCE = 10


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk({"one": 1, "two": 2})
    yield made
    made.close()


def work(visitor: str, act: Any, lane: str = "one") -> Work:
    return Work(visitor, ((lane, act),))


def says(*told: Any) -> Any:
    return lambda: iter([(SHOWN, each) for each in told])


def place(desk: Desk, work: Work) -> int:
    stands = desk.wait(work)
    return 0 if stands is None else stands.place


def finish(*works: Work) -> None:
    for each in works:
        assert each.over.wait(PATIENCE)


def test_a_visitor_with_many_runs_waits_behind_those_who_had_fewer(desk: Desk) -> None:
    order: list[str] = []
    gate = threading.Event()

    def act(name: str) -> Any:
        def go() -> Iterator[Any]:
            gate.wait(PATIENCE)
            order.append(name)
            yield SHOWN, name

        return go

    first = desk.submit(work("x", act("first")))
    while desk.wait(first):
        time.sleep(0.01)
    greedy = [desk.submit(work("greedy", act(f"g{i}"))) for i in range(3)]
    modest = desk.submit(work("modest", act("m")))
    assert [place(desk, each) for each in (*greedy, modest)] == [1, 3, 4, 2]
    gate.set()
    finish(*greedy, modest)
    assert order == ["first", "g0", "m", "g1", "g2"]


def test_a_lane_holds_as_many_as_it_is_wide_and_no_other_lane_up(desk: Desk) -> None:
    inside, most = [], []
    gate = threading.Event()

    def act() -> Iterator[Any]:
        inside.append(1)
        most.append(len(inside))
        gate.wait(PATIENCE)
        inside.pop()
        yield SHOWN, 1

    wide = [desk.submit(work(f"v{i}", act, "two")) for i in range(4)]
    quick = desk.submit(work("q", says("done")))
    finish(quick)  # though both places of the other lane are taken
    until = time.monotonic() + PATIENCE
    while len(inside) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    gate.set()
    finish(*wide)
    assert max(most) == 2


def test_what_one_may_have_under_way_is_bounded(desk: Desk) -> None:
    gate = threading.Event()

    def act() -> Iterator[Any]:
        gate.wait(PATIENCE)
        yield SHOWN, 1

    taken = [desk.submit(work("greedy", act), most=2) for _ in range(2)]
    with pytest.raises(Busy, match="2 of your runs are under way"):
        desk.submit(work("greedy", act), most=2)
    other = desk.submit(work("other", act), most=2)
    gate.set()
    finish(*taken, other)
    finish(desk.submit(work("greedy", says(1)), most=2))


def test_a_failure_ends_its_own_work_only(desk: Desk) -> None:
    def act() -> Iterator[Any]:
        yield SHOWN, "begun"
        raise ValueError("no")

    failed, fine = desk.submit(work("a", act)), desk.submit(work("b", says("fine")))
    finish(failed, fine)
    assert isinstance(failed.failed, ValueError)
    assert fine.failed is None
    assert fine.mail.kept == ["fine"]


def test_what_fails_on_a_page_is_said_and_ends_the_work(desk: Desk) -> None:
    """Weights that cannot be fetched: the attack that needs them is not tried as well."""
    store, job = Store(desk), Job(place="me/")
    store.add(job)
    tried: list[str] = []

    def fails() -> Iterator[Any]:
        raise WeightsUnavailable("There are no weights.", "Choose another.")
        yield

    def follows() -> Iterator[Any]:
        tried.append("attack")
        yield {"kind": "run"}, "done"

    restored = {"kind": "restore"}
    doing = [partial(told, store, job, each(), lambda: restored) for each in (fails, follows)]
    made = desk.submit(Work("me/", tuple(("one", each) for each in doing)))
    finish(made)
    assert tried == []
    assert made.mail.kept[0] == text(restored)
    assert "There are no weights." in made.mail.kept[1]


def test_a_page_is_told_all_that_is_new_in_one_piece_of_text(desk: Desk) -> None:
    """Gradio edits in place what is no text, and of values that come fast a page may read the last."""
    store, job = Store(desk), Job(place="me/")
    sights = iter([({"kind": "open"}, "begun"), ({"kind": "run"}, "done")])
    made = Work("me/", (("one", partial(told, store, job, sights, dict)),))
    store.submit(job, made, {})
    finish(made)

    async def look() -> list[Any]:
        visitor: Any = SimpleNamespace(session_hash="here")
        told = watching(store, lambda tab, _: f"{tab}/", lambda _: {})
        return [each async for each in told(visitor, "me", job.id)]

    assert alone(look()) == [('[{"kind":"run"}]', "done"), (gr.skip(), gr.skip())]


def test_a_job_that_another_has_replaced_is_not_told_any_more() -> None:
    store, job = Store(), Job(place="me/")
    store.add(job)
    said = told(store, job, iter([({"kind": "open"}, None), ({"kind": "run"}, "done")]), dict)
    assert next(said) == (OPENING, text({"kind": "open"}))
    store.add(Job(place="me/"))
    assert list(said) == []


def test_a_stage_may_turn_out_to_need_others(desk: Desk) -> None:
    def read() -> Generator[Any, None, Any]:
        yield STATUS, "reading"
        return (("two", says("brought")), ("one", says("done")))

    made = desk.submit(work("a", read))
    finish(made)
    assert made.mail.since(0)[0] == [(STATUS, "reading"), (SHOWN, "done")]


def test_mail_keeps_the_latest_of_every_slot_and_what_is_shown_comes_with_its_opening() -> None:
    mail = Mail()
    for slot, value in ((OPENING, "open"), (SHOWN, 1), (STATUS, "a"), (SHOWN, 2)):
        mail.post(slot, value)
    news, number = mail.since(0)
    assert news == [(OPENING, "open"), (STATUS, "a"), (SHOWN, 2)]
    assert mail.since(number) == ([], number)
    mail.post(STATUS, "b")
    assert mail.since(number)[0] == [(STATUS, "b")]
    mail.post(SHOWN, 3)
    assert mail.since(number)[0] == [(OPENING, "open"), (STATUS, "b"), (SHOWN, 3)]
    mail.post(SHOWN, 2)
    mail.post(STATUS, "a")
    mail.close()
    assert mail.since(0)[0] == [(SHOWN, 2), (STATUS, "a")]


async def _watched(desk: Desk, made: Work, **settings: Any) -> list[Any]:
    return [told async for news in watch(desk, made, **settings) for told in news]


def test_who_comes_late_is_told_where_it_stands_and_the_end(desk: Desk) -> None:
    made = desk.submit(work("a", says(1, 2, 3)))
    finish(made)
    assert alone(_watched(desk, made)) == [(SHOWN, 3)]


def test_who_waits_is_told_their_place_in_the_line(desk: Desk) -> None:
    gate = threading.Event()

    def act() -> Iterator[Any]:
        gate.wait(PATIENCE)
        yield SHOWN, 1

    first = desk.submit(work("a", act))
    while desk.wait(first):
        time.sleep(0.01)
    second = desk.submit(work("b", says("b")))

    async def look() -> list[Any]:
        seen = []
        async for news in watch(desk, second):
            seen += news
            gate.set()
        return seen

    assert alone(look()) == [(LINE, Wait(1, None)), (SHOWN, "b")]


def test_nobody_is_watched_for_who_has_gone_and_the_work_goes_on(desk: Desk) -> None:
    gate = threading.Event()

    def act() -> Iterator[Any]:
        gate.wait(PATIENCE)
        yield SHOWN, "done"

    made = desk.submit(work("a", act))
    while desk.wait(made):
        time.sleep(0.01)
    assert alone(_watched(desk, made, present=lambda: False)) == []
    gate.set()
    finish(made)
    assert made.mail.kept == ["done"]


def test_closing_stops_what_runs_and_waits_for_it(desk: Desk) -> None:
    made = Work("a", ())

    def act() -> Iterator[Any]:
        while not made.stop.is_set():
            time.sleep(0.01)
        yield SHOWN, "stopped"

    made.stages = (("one", act),)
    desk.submit(made)
    while desk.wait(made):
        time.sleep(0.01)
    desk.close()
    assert made.over.is_set()
