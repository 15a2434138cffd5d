"""How a gradient becomes a step: optax's pair `init`/`apply`, chained from nameless small parts."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.attack.moment import Moment
from engine.core.shapes import Images


class Update(NamedTuple):
    """`init(x)` makes the state; `apply(g, state, moment)` returns the new direction and state.

    `ahead(state)`, where a part has it, is how far before x the next gradient is wanted.
    """

    init: Callable[[Images], Any]
    apply: Callable[[Tensor, Any, Moment], tuple[Tensor, Any]]
    ahead: Callable[[Any], Tensor | None] | None = None


def chain(*parts: Update) -> Update:
    """Apply the parts from left to right, each with a state of its own."""

    def apply(g: Tensor, states: Any, at: Moment) -> tuple[Tensor, Any]:
        new: list[Any] = []
        for part, state in zip(parts, states, strict=True):
            g, state = part.apply(g, state, at)
            new.append(state)
        return g, tuple(new)

    def ahead(states: Any) -> Tensor | None:
        asked = (part.ahead(s) for part, s in zip(parts, states, strict=True) if part.ahead)
        return next((offset for offset in asked if offset is not None), None)

    looks = any(part.ahead for part in parts)
    return Update(lambda x: tuple(part.init(x) for part in parts), apply, ahead if looks else None)


def stateless(change: Callable[[Tensor, Moment], Tensor]) -> Update:
    """An update that remembers nothing."""
    return Update(lambda x: (), lambda g, state, at: (change(g, at), state))


def mean_abs() -> Update:
    """g / mean|g| per image; an all-zero gradient stays zero (the published code divides by 0)."""

    def change(g: Tensor, at: Moment) -> Tensor:
        del at
        size = g.abs().mean((1, 2, 3), keepdim=True)
        return g / size.masked_fill(size == 0, 1)

    return stateless(change)


def momentum(mu: float) -> Update:
    """m <- mu m + g, starting from 0; the direction is m."""

    def apply(g: Tensor, m: Any, at: Moment) -> tuple[Tensor, Any]:
        del at
        new = g if m is None else (mu * m).add_(g)
        return new, new

    return Update(lambda x: None, apply)


def nesterov(mu: float, alpha: float) -> Update:
    """Momentum whose gradient is taken ahead, at x + alpha mu m (Lin et al., ICLR 2020)."""

    def ahead(m: Tensor | None) -> Tensor | None:
        return None if m is None else alpha * mu * m

    return momentum(mu)._replace(ahead=ahead)


def smooth(size: int, reach: float) -> Update:
    """Convolve each colour of g with a Gaussian of `size` x `size` taps from -reach to +reach sigma.

    W_ij ~ exp(-(u_i^2 + u_j^2) / 2), sum W = 1, u evenly spaced (Dong et al., CVPR 2019).
    """

    def change(g: Tensor, at: Moment) -> Tensor:
        del at
        taps = torch.linspace(-reach, reach, size, dtype=torch.float64).square().mul(-0.5).exp()
        row = (taps / taps.sum()).to(g).view(1, 1, 1, size).expand(3, 1, 1, size)
        g = F.conv2d(g, row, padding=(0, size // 2), groups=3)
        return F.conv2d(g, row.transpose(2, 3), padding=(size // 2, 0), groups=3)

    return stateless(change)


def sign() -> Update:
    return stateless(lambda g, at: g.sign())


def scale(size: float) -> Update:
    """Multiply by a step size in pixels."""
    return stateless(lambda g, at: size * g)


def scale_channels(*sizes: float) -> Update:
    """Multiply each channel by a step size of its own, in pixels."""
    return stateless(lambda g, at: g.new_tensor(sizes).view(1, -1, 1, 1) * g)


def cosine(done: float, total: float, first: float, last: float = 0.0) -> float:
    """From `first` to `last` in half a wave: last + (first - last) (1 + cos(pi done / total)) / 2."""
    return last + (first - last) * ((1 + math.cos(math.pi * done / total)) / 2)


def shrinking(first: float, last: float = 0.0, period: int = 0) -> Update:
    """Multiply by a step size in pixels that goes from `first` to `last` along a cosine, over the run
    or anew every `period` steps."""

    def change(g: Tensor, at: Moment) -> Tensor:
        done, total = (at.step % period, period) if period else (at.step, at.steps)
        return cosine(done, total, first, last) * g

    return stateless(change)


def adam(size: float) -> Update:
    """size m / (sqrt v + 1e-8), m and v running means of g and g^2, unbiased (Kingma & Ba, ICLR 2015).

    Their rates are 0.9 and 0.999. Pixels that never had a gradient stay where they are.
    """

    def apply(g: Tensor, state: Any, at: Moment) -> tuple[Tensor, Any]:
        m, v = state
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g.square()
        seen = at.step + 1
        step = m / (1 - 0.9**seen) / ((v / (1 - 0.999**seen)).sqrt() + 1e-8)
        return size * step, (m, v)

    return Update(lambda x: (torch.zeros_like(x), torch.zeros_like(x)), apply)
