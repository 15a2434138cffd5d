"""Laws of the store: bounded by number and bytes, the visitor's own stays, leaving clears."""

from __future__ import annotations

import time
from types import SimpleNamespace

import torch
from PIL import Image

from demo.kit.store import Job, Store, sizeof


def job(session: str = "", size: int = 0) -> Job:
    made = Job(SimpleNamespace(image=None), session)
    made.result = [torch.zeros(size, dtype=torch.uint8)]
    return made


def test_number_is_bounded_and_the_least_used_goes_first() -> None:
    store = Store(most_runs=2)
    first, second, third = job(), job(), job()
    store.add(first)
    store.add(second)
    store.get(first.id)
    store.add(third)
    assert len(store) == 2
    assert store.get(second.id) is None
    assert second.stop.is_set()
    assert store.get(first.id) is first


def test_bytes_are_bounded_but_the_newest_stays() -> None:
    store = Store(most_bytes=100)
    small, large = job(size=60), job(size=60)
    store.add(small)
    store.add(large)
    assert store.get(small.id) is None
    assert store.bytes == 60
    huge = store.add(job(size=500))
    assert store.get(huge.id) is huge
    assert len(store) == 1


def test_a_result_that_grew_makes_room() -> None:
    store = Store(most_bytes=100)
    old, new = store.add(job(size=50)), store.add(job(size=10))
    new.result = [torch.zeros(90, dtype=torch.uint8)]
    store.grown(new)
    assert store.get(old.id) is None
    assert store.get(new.id) is new


def test_staying_away_stops_only_ones_own_and_keeps_what_is_there() -> None:
    store = Store(away=0.05)
    mine, yours = store.add(job("me/")), store.add(job("you/"))
    store.come("page of mine", "me")
    store.come("page of yours", "you")
    store.leave("page of mine")
    assert mine.stop.wait(5)
    assert store.current("me/") is mine  # found again by who comes back
    assert not yours.stop.is_set()


def test_going_to_another_page_stops_nothing() -> None:
    store = Store(away=0.05)
    mine = store.add(job("me/"))
    store.come("first page", "me")
    store.leave("first page")
    store.come("second page", "me")
    time.sleep(0.2)
    assert not mine.stop.is_set()


def test_a_place_knows_its_controls_and_those_of_what_it_shows() -> None:
    store = Store()
    store.remember("me/", [1])
    made = store.add(job("me/"), controls=[1])
    assert store.drawn("me/") is None  # waits for its turn: the page still shows what was before
    store.draw(made)
    store.remember("me/", [2])
    assert (store.drawn("me/"), store.remembered("me/")) == ([1], [2])
    assert store.remembered("me/why") is None


def test_size_counts_every_tensor_picture_and_text_in_a_nest() -> None:
    nest = {"a": (torch.zeros(3), [torch.zeros(2, 2, dtype=torch.uint8)]), "b": "text", "c": None}
    assert sizeof(nest) == 20
    assert sizeof(Image.new("RGB", (40, 30))) == 3600
