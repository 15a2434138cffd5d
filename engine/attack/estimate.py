"""How a gradient is obtained: at x itself, or averaged over further points around it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from engine.core.shapes import Images, PerExample
from engine.core.streams import uniform
from engine.model.victim import Forward


class Gradient(NamedTuple):
    """d loss / d x (same shape as x), the loss per example, and the pass they came from."""

    g: Tensor
    loss: PerExample
    out: Forward


class Oracle(NamedTuple):
    """Where gradients come from: `here(x)` is the step's own, recorded pass on x (b, 3, y, x).

    `mean(points, weights)` is sum_i weights_i grad(points_i) over n further points
    (n, b, 3, y, x), which share forward passes as far as memory allows.
    """

    here: Callable[[Images], Gradient]
    mean: Callable[[Tensor, Tensor], Tensor]


class Estimator(Protocol):
    """`__call__` returns the estimate at x, with loss and pass of x itself, and its new state."""

    def init(self, x: Images) -> Any: ...
    def __call__(
        self, oracle: Oracle, x: Images, state: Any, gen: torch.Generator
    ) -> tuple[Gradient, Any]: ...


@dataclass(frozen=True)
class Direct:
    """The gradient at x."""

    def init(self, x: Images) -> Any:
        del x

    def __call__(
        self, oracle: Oracle, x: Images, state: Any, gen: torch.Generator
    ) -> tuple[Gradient, Any]:
        del gen
        return oracle.here(x), state


@dataclass(frozen=True)
class Neighbourhood:
    """Variance tuning (Wang & He, CVPR 2021): g + v, where v is what neighbours differed by last.

    g_t + v_{t-1},  v_t = 1/n sum_i grad(x + r_i) - g_t,  r_i ~ U(-radius, radius), v_0 = 0.
    The radius is in pixels (beta eps); neighbours are not clipped to [0, 1], as published.
    """

    n: int
    radius: float

    def init(self, x: Images) -> Any:
        return torch.zeros_like(x)

    def __call__(
        self, oracle: Oracle, x: Images, state: Any, gen: torch.Generator
    ) -> tuple[Gradient, Any]:
        here = oracle.here(x)
        noise = torch.stack([uniform(x.shape, gen) for _ in range(self.n)]).to(x) * 2 - 1
        around = oracle.mean(x + self.radius * noise, x.new_full((self.n,), 1 / self.n))
        return here._replace(g=here.g + state), around - here.g


@dataclass(frozen=True)
class Scales:
    """Scale invariance (Lin et al., ICLR 2020): 1/n sum_i d J(x / 2^i) / d x, i = 0 .. n - 1."""

    n: int

    def init(self, x: Images) -> Any:
        del x

    def __call__(
        self, oracle: Oracle, x: Images, state: Any, gen: torch.Generator
    ) -> tuple[Gradient, Any]:
        del gen
        here = oracle.here(x)
        if self.n == 1:
            return here, state
        factor = 0.5 ** torch.arange(1, self.n, device=x.device, dtype=x.dtype)
        others = oracle.mean(factor.view(-1, 1, 1, 1, 1) * x, factor / self.n)
        return here._replace(g=here.g / self.n + others), state
