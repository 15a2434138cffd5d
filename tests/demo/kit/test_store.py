"""Laws of the store: bounded by number and bytes, the visitor's own stays, leaving clears."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from PIL import Image

from demo.kit.desk import Desk, Work
from demo.kit.job import Job
from demo.kit.store import Store, sizeof


@dataclass(eq=False)
class Sized(Job):
    size: int

    @property
    def bytes(self) -> int:
        return self.size


def job(place: str = "", size: int = 0) -> Sized:
    return Sized(size, place=place)


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
    new.size = 90
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
    store.remember("me/", {"eps": 1})
    made = store.add(job("me/"), controls={"eps": 1})
    assert store.drawn("me/") is None  # waits for its turn: the page still shows what was before
    store.draw(made)
    store.remember("me/", {"eps": 2})
    assert (store.drawn("me/"), store.remembered("me/")) == ({"eps": 1}, {"eps": 2})
    assert store.remembered("me/why") is None


def test_size_counts_every_tensor_picture_and_text_in_a_nest() -> None:
    nest = {"a": (torch.zeros(3), [torch.zeros(2, 2, dtype=torch.uint8)]), "b": "text", "c": None}
    assert sizeof(nest) == 20
    assert sizeof(Image.new("RGB", (40, 30))) == 3600


def test_a_new_job_stops_what_its_place_had_under_way() -> None:
    store = Store(Desk({"one": 1}))
    before, after = store.add(job("me/")), job("me/")
    after.stop.set()  # stopped earlier: now it is to go on
    store.submit(after, Work("me/", (("one", lambda: iter(())),)), {})
    assert before.stop.is_set()
    assert not after.stop.is_set()
    assert store.current("me/") is after
    store.desk.close()
