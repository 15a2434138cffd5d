"""Random numbers by name: the draw for a place depends on the seed and the place, on nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class Streams:
    """A seed from which named generators are made.

    `at("start")` and `at("step", 3)` are independent of the order of calls and of each other, so
    adding a part that draws never shifts another part's draws. Generators live on the CPU: draw
    there and move the result, and a GPU sees the same noise.

    `images`, where given, names the pictures of the batch, and `uniform` then draws for each from a
    generator of its own: its noise is the same alone, in any batch and in any process. What is
    drawn from the generator itself is shared by the pictures, and the same for every batch.
    """

    seed: int
    images: tuple[int, ...] = ()

    def at(self, *path: str | int) -> torch.Generator:
        if not self.images:
            return _seeded(torch.Generator(), self.seed, *path)
        gen = PerImage()
        gen.places = tuple((self.seed, "image", image, *path) for image in self.images)
        return _seeded(gen, self.seed, *path)

    def inside(self, *path: str | int) -> Streams:
        """The streams of a part that has many draws of its own, such as a restart or an epoch."""
        return replace(self, seed=self.at(*path).initial_seed())

    def of(self, rows: Sequence[int]) -> Streams:
        """Those of some of the pictures."""
        return replace(self, images=tuple(self.images[row] for row in rows if self.images))


class PerImage(torch.Generator):
    """A generator with further ones, made when first needed: one for every picture of a batch."""

    places: tuple[tuple[str | int, ...], ...]

    @cached_property
    def each(self) -> tuple[torch.Generator, ...]:
        return tuple(_seeded(torch.Generator(), *place) for place in self.places)


def uniform(shape: Sequence[int], gen: torch.Generator) -> Tensor:
    """U(0, 1) of `shape`, whose first axis runs over the batch: the pictures, then copies of all."""
    return _drawn(torch.rand, shape, gen)


def normal(shape: Sequence[int], gen: torch.Generator) -> Tensor:
    """N(0, 1) of `shape`, whose first axis runs over the batch: the pictures, then copies of all."""
    return _drawn(torch.randn, shape, gen)


def _drawn(draw: Callable[..., Tensor], shape: Sequence[int], gen: torch.Generator) -> Tensor:
    if not isinstance(gen, PerImage):
        return draw(shape, generator=gen)
    own = gen.each
    return torch.stack([draw(shape[1:], generator=own[i % len(own)]) for i in range(shape[0])])


def _seeded(gen: torch.Generator, *place: str | int) -> torch.Generator:
    digest = hashlib.sha256("/".join(map(str, place)).encode()).digest()
    gen.manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    return gen
