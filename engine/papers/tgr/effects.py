"""What a comparison says: each variant's gradients beside MI-FGSM's, and the tokens that it zeroes.

A factor gamma alone multiplies the variance by gamma^2 and leaves dispersion and kurtosis as they
are, so a lower variance shows no calmer gradient: only a scale-free measure can.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from engine.model.victim import BlockShape
from engine.papers.tgr.compare import Answer, Reading, Variant
from engine.probe.compare import geometric

Measure = Literal["variance", "dispersion", "kurtosis"]
Unevenness = Literal["more", "less", "same"]
Rounds = Sequence[Sequence[Reading]]  # one reading of every variant a step, MI-FGSM's first

SCALE_FREE: tuple[Measure, ...] = ("dispersion", "kurtosis")
MEASURES: tuple[Measure, ...] = ("variance", *SCALE_FREE)
SAME = 1.15  # a ratio of scale-free measures nearer to 1 than this hardly differs from it
SO: Mapping[Unevenness, str] = {
    "more": "so what is left of it is more uneven",
    "less": "so it is really more even, whatever its scale",
    "same": "so its scale changed and its unevenness hardly did",
}


@dataclass(frozen=True)
class Effect:
    """One measure of one variant's gradients, at each of s steps and, last, over all of them.

    blocks (s + 1, l, 3); over all steps the geometric mean of those where it is above zero.
    ratio (s + 1, 3): to MI-FGSM's, the geometric mean over the blocks where both are above zero.
    NaN where there is none.
    """

    blocks: Tensor
    ratio: Tensor


def effects(rounds: Rounds, measure: Measure) -> dict[Variant, Effect]:
    """A measure of every variant, beside MI-FGSM's."""
    blocks: dict[Variant, Tensor] = {
        each.variant: _with_all(torch.stack([getattr(its[i], measure) for its in rounds]))
        for i, each in enumerate(rounds[0])
    }
    base = blocks["baseline"]
    return {name: Effect(own, geometric(own / base, 1)) for name, own in blocks.items()}


def unevenness(ratio: float) -> Unevenness | None:
    """What a scale-free measure's ratio to MI-FGSM's says; nothing where there is no ratio."""
    if ratio != ratio:
        return None
    if ratio > SAME:
        return "more"
    return "less" if ratio < 1 / SAME else "same"


@dataclass(frozen=True)
class Zeroed:
    """In which share of the channels (attention: heads) each token is zeroed.

    shares (s + 1, prefix + rows * columns): at each of s steps and, last, the mean over all.
    """

    prefix: int
    grid: tuple[int, int]
    shares: Tensor


def zeroed(readings: Sequence[Reading], shapes: Sequence[BlockShape]) -> list[list[Zeroed | None]]:
    """Of one variant's steps: the shares by block and component, and last the mean over all blocks.

    None where a component has no map.
    """
    found: list[list[Zeroed | None]] = []
    for block, shape in enumerate(shapes):
        steps = zip(*(each.extremes[block] for each in readings), strict=True)
        found.append([_zeroed(shape, parts) for parts in steps])
    return [*found, [_whole(column) for column in zip(*found, strict=True)]]


def fooled(answers: Mapping[str, Sequence[Answer]], source: str) -> tuple[int, list[int]]:
    """Of the models but the source that had the clean picture right: how many, and how many of
    them each variant's picture fools."""
    judged = [its for name, its in answers.items() if name != source and its[0].fooled is False]
    variants = range(1, len(answers[source]))
    return len(judged), [sum(bool(its[i].fooled) for its in judged) for i in variants]


def _with_all(values: Tensor) -> Tensor:
    return torch.cat([values.double(), geometric(values, 0).unsqueeze(0)])


def _zeroed(shape: BlockShape, parts: Sequence[Tensor | None]) -> Zeroed | None:
    there = [each for each in parts if each is not None]
    if len(there) < len(parts):
        return None
    shares = torch.stack(there)
    return Zeroed(shape.prefix, shape.grid, torch.cat([shares, shares.mean(0, keepdim=True)]))


def _whole(blocks: Sequence[Zeroed | None]) -> Zeroed | None:
    """The mean of the blocks that have a map, on the grid of the first; a prefix token's, of those
    that have one."""
    there = [each for each in blocks if each is not None]
    if not there:
        return None
    prefix, grid = max(each.prefix for each in there), there[0].grid
    ahead = [each.shares[:, : each.prefix] for each in there if each.prefix]
    padded = [torch.nn.functional.pad(each, (0, prefix - each.shape[1])) for each in ahead]
    patches = torch.stack([_moved(each, grid) for each in there]).mean(0)
    first = torch.stack(padded).mean(0) if padded else patches[:, :0]
    return Zeroed(prefix, grid, torch.cat([first, patches], 1))


def _moved(of: Zeroed, grid: tuple[int, int]) -> Tensor:
    """The shares of the patches at the centres of another grid's cells."""
    rows, columns = (
        ((torch.arange(n) + 0.5) * own / n).long() for n, own in zip(grid, of.grid, strict=True)
    )
    patches = of.shares[:, of.prefix :].unflatten(1, of.grid)
    return patches[:, rows][:, :, columns].flatten(1)
