"""The shelf of loaded models: made once, bounded in bytes, and nobody waits for another's model."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import torch
from torch import nn

from engine.core.errors import BadKnob
from engine.model.families import PLAIN
from engine.model.shelf import MOST_VARIABLE, Shelf, weight
from engine.model.victim import Spec, Victim

KILOBYTE = 250  # float32 numbers


def victim(kilobytes: int) -> Victim:
    module = nn.Linear(1, 1, bias=False)
    module.weight = nn.Parameter(torch.zeros(kilobytes * KILOBYTE // 2, 1))
    module.register_buffer("also", torch.zeros(kilobytes * KILOBYTE // 2))
    return Victim(Spec("any", "any", ("a",), 1, (0.5,), (0.5,)), module, PLAIN)


def making(kilobytes: int, made: list[int]) -> Callable[[], Victim]:
    def make() -> Victim:
        made.append(kilobytes)
        return victim(kilobytes)

    return make


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Shelf:
    monkeypatch.setenv(MOST_VARIABLE, "10e3")
    return Shelf()


def test_parameters_and_buffers_weigh() -> None:
    assert weight([victim(4)]) == 4000


def test_a_model_is_made_once(shelf: Shelf) -> None:
    made: list[int] = []
    assert shelf.get("a", making(1, made)) is shelf.get("a", making(1, made)) is shelf.find("a")
    assert made == [1]
    shelf.clear()
    assert shelf.find("a") is None


def test_beyond_the_budget_the_longest_unused_goes(shelf: Shelf) -> None:
    for name in "abc":
        shelf.get(name, making(3, []))
    shelf.find("a")
    shelf.get("d", making(4, []))
    assert [name for name in "abcd" if shelf.find(name)] == ["a", "c", "d"]


def test_the_last_one_stays_even_if_it_is_larger_than_the_budget(shelf: Shelf) -> None:
    shelf.get("a", making(3, []))
    large = shelf.get("b", making(30, []))
    assert shelf.find("a") is None
    assert shelf.find("b") is large


def test_a_budget_that_is_no_number_is_a_sentence(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MOST_VARIABLE, "-1")
    with pytest.raises(BadKnob, match="LAB_MOST_MODEL_BYTES cannot be -1"):
        shelf.get("a", making(1, []))


def test_making_one_keeps_nobody_from_another(shelf: Shelf) -> None:
    begun, go, made = threading.Event(), threading.Event(), list[int]()
    here = shelf.get("here", making(1, made))

    def slowly() -> Victim:
        begun.set()
        assert go.wait(10)
        return making(2, made)()

    visitors = [threading.Thread(target=shelf.get, args=("slow", slowly)) for _ in range(2)]
    for visitor in visitors:
        visitor.start()
    assert begun.wait(10)
    assert shelf.find("here") is here
    shelf.get("other", making(3, made))
    go.set()
    for visitor in visitors:
        visitor.join(10)
    assert made == [1, 3, 2], "the slow one was made once, after the others were served"


def test_one_that_could_not_be_made_is_tried_again(shelf: Shelf) -> None:
    with pytest.raises(ZeroDivisionError):
        shelf.get("a", lambda: 1 // 0)  # type: ignore[arg-type, return-value]
    assert shelf.get("a", making(1, [])) is shelf.find("a")
