"""What Robustness Tokens cost: a pass with them, and a step of their training, as ratios of one run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from engine.core.errors import UnsupportedModel
from engine.core.streams import Streams
from engine.evaluate.bench import Row, forward_of, interleaved, noise, row
from engine.model.tokens import hosted, width
from engine.model.victim import Victim
from engine.train.tokens import TokenTraining, train


def bench_tokens(
    victim: Victim, *, batches: tuple[int, ...] = (1, 8), rounds: int = 15
) -> Iterator[Row]:
    """Time a pass with ten tokens against the bare model's, and a training step against its floor.

    The floor is what no step can do without: one pass over the clean and the attacked pictures with
    the tokens, bare of hooks and losses, and its gradient to the tokens. Nothing for a model that
    cannot host any.
    """
    training = TokenTraining(steps=100_000)
    try:
        shape = training.count, width(victim)
    except UnsupportedModel:
        return
    tokens = training.spread * torch.randn(shape, generator=Streams(0).at("tokens"))
    leaf = tokens.to(victim.device, victim.dtype).requires_grad_()
    defended = hosted(victim, leaf)
    for size in batches:
        images, _ = noise(victim, size)
        x = victim.normalised(images)
        jobs = {"": forward_of(victim.module, x), "pass": forward_of(defended.module, x)}
        seconds = interleaved(jobs, rounds, victim.device)
        what = f"forward with {training.count} tokens"
        yield row(what, "forward of the bare model", size, seconds["pass"], seconds[""], victim)
    for size in batches:
        jobs = {"": bottom(defended, leaf, size), "step": one_step(victim, training, size)}
        seconds = interleaved(jobs, rounds, victim.device)
        what, against = "token training step", "forward + token gradient of both halves"
        yield row(what, against, size, seconds["step"], seconds[""], victim)


def bottom(defended: Victim, tokens: Tensor, size: int) -> Callable[[], object]:
    """Forward and token gradient of the bare module over `size` clean and as many attacked pictures."""
    images, _ = noise(defended, 2 * size)
    x, module = defended.normalised(images), defended.module

    def work() -> object:
        return torch.autograd.grad(module.forward_features(x).sum(), tokens)  # pyright: ignore

    return work


def one_step(victim: Victim, training: TokenTraining, size: int) -> Callable[[], object]:
    """A further step of a training, each time."""
    images, _ = noise(victim, 2 * size)
    clean, attacked = (images * 255).round().to(torch.uint8).split(size)
    steps = train(victim, clean, attacked, replace(training, batch=size), Streams(0))
    return lambda: next(steps)
