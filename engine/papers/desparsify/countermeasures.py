"""What can be done against DeSparsify (spec 5.1): bounds on tokens, and what a bound is worth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

from torch import Tensor

from engine.alter.alteration import Stack
from engine.alter.cap import Cap
from engine.alter.stack import altered
from engine.evaluate.progress import Progress
from engine.model.sparse import SparseViT, ceiling
from engine.model.sparse.bound import By
from engine.model.victim import Victim
from engine.papers.desparsify.sets import Load

BOUNDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Shares of all tokens; the last is the model without a bound."""


class Countermeasure(NamedTuple):
    """A stack that is put on the victim: weights as they were, and no training."""

    name: str
    stack: Stack


def countermeasures() -> tuple[Countermeasure, ...]:
    """The paper's two, bounds at the mean of clean pictures' counts, and two that clip fewer of those."""
    return (
        Countermeasure("cap at the clean mean, least confident go", (Cap(),)),
        Countermeasure("cap at the clean mean, random ones go", (Cap(by="random"),)),
        Countermeasure("cap at the clean 90 % quantile", (Cap(quantile=0.9),)),
        Countermeasure("cap at the clean maximum", (Cap(quantile=1.0),)),
    )


@dataclass(frozen=True)
class Bounded:
    """A victim under a bound, a share of all tokens: no picture can cost it more than `ceiling` MACs.

    `blind` is of pictures whose attacker did not know of the bound, `adaptive` of those crafted on
    the bounded victim itself.
    """

    stack: Stack
    bound: float
    ceiling: int
    clean: Load
    blind: Load
    adaptive: Load | None


def curve(
    victim: Victim,
    clean: Tensor,
    blind: Tensor,
    craft: Callable[[Victim], Tensor] | None = None,
    bounds: Sequence[float] = BOUNDS,
    by: By = "least confident",
) -> Iterator[Progress | Bounded]:
    """What each bound leaves of an attack, and what it costs on clean pictures.

    All pictures are 8-bit (n, 3, y, x): clean ones, and the same attacked on the victim without a
    bound. `craft` attacks them anew on the victim that it is given. Raises UnsupportedModel for a
    victim that drops no tokens.
    """
    for index, bound in enumerate(bounds):
        yield Progress("bounds", index, len(bounds))
        stack = (Cap(bound, by=by),)
        held = altered(victim, stack)
        adaptive = Load.of(held, craft(held)) if craft else None
        most = ceiling(cast(SparseViT, held.module))
        yield Bounded(stack, bound, most, Load.of(held, clean), Load.of(held, blind), adaptive)
