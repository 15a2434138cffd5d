"""How sure a measured rate is, and whether two rates measured on the same pictures differ."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Z95 = 1.959963984540054


@dataclass(frozen=True)
class Proportion:
    """`count` of `of` trials, with Wilson's 95 % interval; of nothing it is anything from 0 to 1.

    centre = (p + z^2/2n) / (1 + z^2/n),  half = z sqrt(p(1-p)/n + z^2/4n^2) / (1 + z^2/n)
    (Wilson, JASA 1927).
    """

    count: int
    of: int

    @property
    def value(self) -> float:
        return self.count / self.of if self.of else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        if not self.of:
            return 0.0, 1.0
        p, n, z = self.value, self.of, Z95
        centre = p + z * z / (2 * n)
        half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        low = 0.0 if self.count == 0 else (centre - half) / (1 + z * z / n)
        high = 1.0 if self.count == n else (centre + half) / (1 + z * z / n)
        return low, high


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float

    def times(self, factor: float) -> Estimate:
        """The same in another unit."""
        return Estimate(factor * self.value, factor * self.low, factor * self.high)


@dataclass(frozen=True)
class Rate(Estimate):
    """A mean in % (or points) over `pictures`; `agreed` where all said the same.

    Of pictures that all agree a bootstrap has no width, although the next one may differ. Then the
    exact bound stands: if more than 1 - 0.05^(1/n) of all pictures differed, n that agree would be
    drawn in fewer than 5 % of samples (Clopper and Pearson, one-sided).
    """

    pictures: int
    agreed: bool

    @staticmethod
    def of(found: Estimate, pictures: int, low: float = 0.0, high: float = 100.0) -> Rate:
        """The bootstrap where it has a width, else the exact bound; inside `low` to `high`."""
        if found.low < found.high:
            return Rate(found.value, found.low, found.high, pictures, agreed=False)
        most = 100 * (1 - 0.05 ** (1 / pictures))
        below, above = max(low, found.value - most), min(high, found.value + most)
        return Rate(found.value, below, above, pictures, agreed=True)

    @staticmethod
    def change(found: Estimate, pictures: int) -> Rate:
        """For a difference in points, which can go either way."""
        return Rate.of(found, pictures, low=-100.0)


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact two-sided McNemar test: how likely so uneven a split is if both are equally good.

    p = min(1, 2 sum_{i <= min} C(n, i) / 2^n) over the n pictures on which the two disagree.
    """
    n, least = only_first + only_second, min(only_first, only_second)
    tail = sum(math.comb(n, i) for i in range(least + 1))
    return float(min(1, 2 * tail / 2**n))


def mean(values: Tensor) -> Estimate:
    """The mean over pictures (n,) with its interval, by `bootstrap`."""
    exact = values.double()
    return bootstrap(lambda w: (w @ exact) / w.sum(1), len(exact))


def bootstrap(
    statistic: Callable[[Tensor], Tensor], n: int, *, draws: int = 4000, seed: int = 0
) -> Estimate:
    """The statistic of n pictures and its percentile interval over resampled sets of pictures.

    `statistic` maps weights (d, n), how often each picture is drawn, to values (d,); a draw on
    which it is not finite is left out. Pictures are drawn, not trials, so that models and attacks
    judged on the same picture stay paired.
    """
    value = float(statistic(torch.ones(1, n, dtype=torch.float64))[0])
    gen = torch.Generator().manual_seed(seed)
    picked = torch.randint(n, (draws, n), generator=gen)
    weights = torch.zeros(draws, n, dtype=torch.float64).scatter_add_(
        1, picked, torch.ones(draws, n, dtype=torch.float64)
    )
    values = statistic(weights)
    values = values[torch.isfinite(values)]
    if not len(values):
        return Estimate(value, -math.inf, math.inf)
    levels = torch.tensor([0.025, 0.975], dtype=torch.float64)
    low, high = torch.quantile(values, levels).tolist()
    return Estimate(value, low, high)
