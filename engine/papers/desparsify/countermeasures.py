"""What can be done against DeSparsify (spec 5.1): bounds on tokens, and what a bound is worth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from engine.alter.alteration import Stack
from engine.alter.cap import Cap
from engine.alter.stack import altered
from engine.core.shapes import Labels
from engine.evaluate.judge import shown
from engine.evaluate.progress import Progress
from engine.model.sites import Site
from engine.model.sparse import SparseViT, ceiling
from engine.model.sparse.bound import By
from engine.model.victim import Victim

BOUNDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Shares of all tokens; the last is the model without a bound."""
AT_ONCE = 16


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
class Load:
    """What n saved pictures cost a victim, in MACs, and its answers; on the CPU."""

    macs: Int64[Tensor, " n"]
    answers: Labels


def load(victim: Victim, pixels: UInt8[Tensor, "n 3 y x"]) -> Load:
    """Show a victim that drops tokens 8-bit pictures."""
    macs: list[Tensor] = []
    answers: list[Tensor] = []
    for some in pixels.split(AT_ONCE):
        with torch.no_grad(), victim.session(observe={Site.COST}) as forward:
            out = forward(shown(some, victim))
        macs.append(torch.stack(out.values(Site.COST, "macs")).sum(0).cpu())
        answers.append(out.logits.argmax(1).cpu())
    return Load(torch.cat(macs), torch.cat(answers))


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
        adaptive = load(held, craft(held)) if craft else None
        most = ceiling(cast(SparseViT, held.module))
        yield Bounded(stack, bound, most, load(held, clean), load(held, blind), adaptive)
