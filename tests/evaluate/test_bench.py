"""The benchmark measures what it says: the right work, in turn, on one thread count."""

from __future__ import annotations

import pytest
import torch
from small_zoo import load, victim, vit
from torch.nn import functional as F

from engine.alter.ats import TokenSampling
from engine.attack.recipe import Recipe
from engine.core.errors import UnsupportedModel
from engine.evaluate.bench import (
    ATTACKS,
    COARSE,
    REQUESTS,
    Row,
    bench,
    bench_sparse,
    floor,
    interleaved,
)


def test_the_floor_is_the_bare_gradient() -> None:
    source = load("vit_a")
    x = torch.rand(3, 3, 32, 32, dtype=torch.float64)
    labels = torch.tensor([0, 1, 2])
    (g,) = floor(source, x, labels)()  # pyright: ignore
    leaf = x.clone().requires_grad_()
    F.cross_entropy(source.module(leaf), labels, reduction="sum").backward()
    assert torch.equal(g, leaf.grad)


def test_jobs_are_run_in_turn_after_one_round_unmeasured() -> None:
    order: list[str] = []
    jobs = {name: (lambda name=name: order.append(name)) for name in "abc"}
    seconds = interleaved(jobs, 3, torch.device("cpu"))
    assert order == list("abc") * 4
    assert set(seconds) == set("abc")


def test_every_row_is_there_and_threads_stay() -> None:
    threads = torch.get_num_threads()
    asked: list[Recipe] = []
    single = victim("single", vit(), 32, dtype=torch.float32)
    rows = list(bench(single, asked.append, batches=(1, 2), rounds=1))
    steps = [(row.what, row.batch) for row in rows if row.what.endswith("step")]
    assert steps == [(f"{name} step", size) for size in (1, 2) for name in (*ATTACKS, COARSE)]
    assert [each.name for each in asked] == [name for name in REQUESTS for _ in range(4)]
    assert {each.steps for each in asked} == {10}
    assert all(row.seconds > 0 and row.floor > 0 for row in rows)
    assert torch.get_num_threads() == threads


def test_a_sparsified_model_is_measured_against_the_dense_one_below_it() -> None:
    single = victim("single", vit(), 32, dtype=torch.float32)
    picture = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    rows = list(bench_sparse(single | TokenSampling(), picture, batches=(1, 2), rounds=1))
    assert [(row.what, row.batch) for row in rows] == [
        ("desparsify step", 1),
        ("desparsify step", 2),
        ("skipping forward, clean", 1),
        ("skipping forward, attacked", 1),
    ]
    assert all(row.seconds > 0 and row.floor > 0 for row in rows)
    with pytest.raises(UnsupportedModel):
        next(bench_sparse(single, picture))


def test_a_ratio_is_a_quotient() -> None:
    assert Row("a", "b", 1, 3.0, 2.0, "cpu").ratio == 1.5
