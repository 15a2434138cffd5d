"""Rank correlation, as a statistic of weighted pictures for `bootstrap`."""

from __future__ import annotations

from torch import Tensor


def spearman(a: Tensor, b: Tensor, weights: Tensor) -> Tensor:
    """Rank correlation of a and b (n,) under weights (d, n), ties at their mean rank: (d,).

    Ranks are those in the whole set, as the bootstrap of a fixed ranking.
    """
    x, y = ranks(a), ranks(b)
    total = weights.sum(1)

    def mean(v: Tensor) -> Tensor:
        return weights @ v / total

    covariance = mean(x * y) - mean(x) * mean(y)
    spread = (mean(x * x) - mean(x) ** 2) * (mean(y * y) - mean(y) ** 2)
    return covariance / spread.clamp_min(1e-300).sqrt()


def ranks(values: Tensor) -> Tensor:
    """Rank of each value (n,), equal values sharing their mean rank."""
    v = values.double()
    below = (v[:, None] > v).sum(1)
    equal = (v[:, None] == v).sum(1)
    return below.double() + (equal.double() - 1) / 2
