"""Two attacks on the same pictures: the difference of their transfer, paired by picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from engine.attack.recipe import Recipe
from engine.core.errors import BadTask
from engine.evaluate.interval import Estimate, bootstrap, mcnemar
from engine.evaluate.transfer import Matrix

Rates = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Jury:
    """The targets over which success is averaged, for attacks made on one source.

    rate = mean over targets of (fooled of those it had right) / (those it had right).
    """

    matrix: Matrix
    source: str
    targets: tuple[str, ...]

    @cached_property
    def right(self) -> Tensor:
        """(targets, n): 1 where the target has the clean picture right."""
        first = self.matrix.cells[0].recipe
        found = self._stack([self.matrix.cell(self.source, first, t).right for t in self.targets])
        for target, hits in zip(self.targets, found.sum(1).tolist(), strict=True):
            if not hits:
                raise BadTask(
                    f"{target} has none of the pictures right, so nothing can fool it.",
                    "Give pictures of classes that every target knows well.",
                )
        return found

    @property
    def images(self) -> int:
        """Pictures that at least one target has right when clean."""
        return int((self.right.sum(0) > 0).sum())

    def fooled(self, recipe: Recipe) -> Tensor:
        """(targets, n): 1 where the target had the clean picture right and the adversarial wrong."""
        kept = [self.matrix.cell(self.source, recipe, t).survived for t in self.targets]
        return self.right * (1 - self._stack(kept))

    def rates(self, recipe: Recipe) -> Rates:
        """The mean success rate as a statistic of weighted pictures, for `bootstrap`."""
        right, fooled = self.right, self.fooled(recipe)
        return lambda weights: ((weights @ fooled.T) / (weights @ right.T)).mean(1)

    def rate(self, recipe: Recipe) -> Estimate:
        return self.estimate(self.rates(recipe))

    def gain(self, first: Recipe, second: Recipe) -> Estimate:
        """Rate of the first less rate of the second, on the same pictures."""
        one, other = self.rates(first), self.rates(second)
        return self.estimate(lambda weights: one(weights) - other(weights))

    def estimate(self, statistic: Rates) -> Estimate:
        return bootstrap(statistic, self.right.shape[1])

    def p(self, first: Recipe, second: Recipe) -> float:
        """Exact McNemar test over pictures: on how many does one attack fool more targets?

        With one target this is McNemar's test; with several, its sign-test form, for trials on one
        picture are not independent.
        """
        margin = (self.fooled(first) - self.fooled(second)).sum(0)
        return mcnemar(int((margin > 0).sum()), int((margin < 0).sum()))

    @staticmethod
    def _stack(rows: Sequence[tuple[bool, ...]]) -> Tensor:
        return torch.tensor(rows, dtype=torch.float64)
