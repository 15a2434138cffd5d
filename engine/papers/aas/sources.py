"""What attacks are crafted on: a model's own gradient, in other precisions, under factors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from engine.alter.alteration import Stack
from engine.alter.saturated import Saturated
from engine.alter.stack import altered
from engine.attack.recipe import Recipe
from engine.attack.recipes.pgd import PGD
from engine.core.shapes import Labels
from engine.evaluate.progress import Progress
from engine.evaluate.robust import Robust, survivors
from engine.model.victim import Victim

PORTION = 16
GRAIN = 1 / 255
"""The smallest budget that recipes know."""


def saturation(c: float) -> Stack:
    return () if c == 1 else (Saturated(c=c),)


def pgd(eps: float, steps: int, pace: int) -> PGD:
    """PGD whose step is 2.5 eps / pace, so that a longer one takes the same steps and more of them."""
    return PGD(eps=max(eps, GRAIN), steps=steps, step_size=2.5 * eps / pace)


class Method(NamedTuple):
    """An attack, and the stack on the judged model that it is crafted on; `scaled` and `last` are
    those of `survivors`."""

    name: str
    recipe: Recipe
    stack: Stack = ()
    scaled: bool = False
    last: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Ground:
    """A model with scores times c, and 8-bit pictures (n, 3, y, x) that it is shown."""

    victim: Victim
    pixels: Tensor
    labels: Labels
    eps: float
    c: float = 1.0
    seed: int = 0
    batch: int = 4
    keep: Path | None = None

    @property
    def judge(self) -> Victim:
        return altered(self.victim, saturation(self.c))

    @property
    def portions(self) -> Iterator[slice]:
        """The pictures, some at a time, so that what is measured grows evenly."""
        n = len(self.labels)
        return (slice(first, min(first + PORTION, n)) for first in range(0, n, PORTION))

    def left(self, method: Method, some: slice) -> Iterator[Progress | Robust]:
        """Who of some pictures is left by a method."""
        name, recipe, stack, scaled, last, seed = method
        events = survivors(
            self.judge,
            recipe,
            self.pixels[some],
            self.labels[some],
            source=self.victim if stack else None,
            stack=(*saturation(self.c), *stack) if stack else (),
            eps=self.eps if self.eps < recipe.eps else None,
            iterates="last" if last else "all",
            scaled=scaled,
            seed=self.seed + seed,
            first=some.start,
            batch=self.batch,
            keep=self.keep,
        )
        for each in events:
            if isinstance(each, Progress):
                where = f"pictures {some.start + 1} to {some.stop}, scores × {self.c:g}"
                yield Progress(f"{where}: {name}", each.done, each.total)
            else:
                yield each

    def more(
        self, methods: Sequence[Method], some: slice, known: dict[str, Robust]
    ) -> Iterator[Progress]:
        """Who of some pictures more is left by each method, added to what is `known` by its name."""
        for method in methods:
            for each in self.left(method, some):
                if isinstance(each, Progress):
                    yield each
                else:
                    before = known.get(method.name)
                    known[method.name] = each if before is None else before.then(each)

    def all_left(self, methods: Sequence[Method]) -> Iterator[Progress | Mapping[str, Robust]]:
        """Who is left by each method, by its name."""
        known = dict[str, Robust]()
        for some in self.portions:
            yield from self.more(methods, some, known)
        yield known
