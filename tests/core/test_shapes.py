"""The shapes in signatures are checked in every test, and a wrong one is said by its letters."""

from __future__ import annotations

import pytest
import torch
from jaxtyping import TypeCheckError

from engine.model.attention import products
from engine.model.task import Task
from tests.shapes import MODULES
from tests.tiny import SIZE, victim


def test_every_module_that_names_a_shape_is_watched() -> None:
    assert {"engine.model.victim", "engine.attack.chain", "engine.attack.objective"} <= set(MODULES)
    assert len(MODULES) > 30


def test_a_picture_without_a_batch_is_no_picture() -> None:
    with pytest.raises(TypeCheckError, match="b 3 y x"):
        victim("vit").logits(torch.zeros(3, SIZE, SIZE).double())


def test_a_letter_is_one_number_within_a_call_and_within_a_value() -> None:
    with pytest.raises(TypeCheckError, match="b h d m"):
        products(torch.zeros(2, 3, 4, 5), torch.zeros(2, 3, 6, 4))
    with pytest.raises(TypeCheckError, match="labels"):
        Task(torch.zeros(2, 3, 4, 4), torch.zeros(3, dtype=torch.int64))


def test_kinds_of_numbers_are_checked_too() -> None:
    with pytest.raises(TypeCheckError, match="labels"):
        Task(torch.zeros(2, 3, 4, 4), torch.zeros(2))  # pyright: ignore
