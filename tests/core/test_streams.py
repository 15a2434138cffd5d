"""Streams: a draw depends on the seed and the place, and on nothing else."""

from __future__ import annotations

import torch

from engine.core.streams import Streams


def draw(streams: Streams, *path: str | int) -> torch.Tensor:
    return torch.rand(4, generator=streams.at(*path))


def test_a_place_draws_the_same_whatever_was_drawn_before() -> None:
    alone = draw(Streams(0), "step", 3)
    streams = Streams(0)
    for step in range(3):
        draw(streams, "step", step)
    assert torch.equal(draw(streams, "step", 3), alone)


def test_seeds_and_places_differ() -> None:
    draws = [draw(Streams(s), *p) for s in (0, 1, 11) for p in (("a",), ("b",), ("step", 1), (1,))]
    assert len({tuple(each.tolist()) for each in draws}) == len(draws)


def test_the_global_generator_is_untouched() -> None:
    before = torch.get_rng_state()
    draw(Streams(7), "start")
    assert torch.equal(torch.get_rng_state(), before)
