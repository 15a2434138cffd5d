"""An upper bound on the tokens of each block, whatever a mechanism decides (DeSparsify's defence)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from engine.core.shapes import Images
from engine.core.streams import Streams, uniform
from engine.model.sites import Site
from engine.model.victim import Tap

By = Literal["least confident", "random"]


@dataclass(frozen=True)
class Bound:
    """Block l keeps at most `most[l]` tokens, prefix included; what is too much goes (spec 5.1).

    by "least confident": those go of which the mechanism thinks least: ATS's and Top-k's S, A-ViT's
    mass left 1 - c, AdaViT's sigmoid. by "random": at random, drawn for each block from a seed that
    is the picture itself, so that a picture fares alike in any batch. The prefix never goes.
    """

    most: tuple[int, ...]
    by: By = "least confident"

    def at(self, block: int, prefix: int) -> int:
        """The most tokens that a block keeps."""
        return max(self.most[block], prefix)

    def held(self, tap: Tap, images: Images, prefix: int) -> Tap:
        """What a sparsifier is to show in a pass over these normalised images, instead of the tap."""
        return _Held(tap, self, images, prefix)


def whole(count: float) -> int:
    """A count, rounded up, though in floats 0.07 of 100 is a little more than 7."""
    return math.ceil(count - 1e-9)


def surplus(
    kept: Bool[Tensor, "b n"], confidence: Float[Tensor, "b n"], *, most: int, prefix: int
) -> Bool[Tensor, "b n"]:
    """Of the kept tokens those beyond the `most` of highest confidence; of equal ones the later go."""
    first = torch.arange(kept.shape[1], device=kept.device) < prefix
    told = confidence.masked_fill(first, torch.inf).masked_fill(~kept, -torch.inf)
    places = told.argsort(dim=1, descending=True, stable=True)
    return kept.scatter(1, places[:, :most], False)


class _Held(Tap):
    """A tap that holds KEEP to the bound before whoever looks sees it."""

    def __init__(self, whole: Tap, bound: Bound, images: Images, prefix: int) -> None:
        super().__init__((), (), ())
        self.whole, self.bound, self.prefix = whole, bound, prefix
        self.need = whole.need
        self.confidence: dict[int, Tensor] = {}
        self.streams = _streams(images) if bound.by == "random" else None

    def __call__(self, site: Site, block: int, x: Tensor, slot: str = "") -> Tensor:
        if site is Site.KEEP and not slot:
            x = self._held(block, x)
        x = self.whole(site, block, x, slot)
        if site is Site.SIGNIFICANCE or (site is Site.KEEP and slot == "soft"):
            self.confidence.setdefault(block, x.detach())  # S is told before min(1, R S) is
        return x

    def reads(self, site: Site) -> bool:
        return self.whole.reads(site)

    def backward(self, site: Site, block: int, slot: str = "") -> Callable[[Tensor], Tensor] | None:
        return self.whole.backward(site, block, slot)

    def _held(self, block: int, x: Tensor) -> Tensor:
        most, told = self.bound.at(block, self.prefix), self.confidence[block]
        if most >= x.shape[1]:
            return x
        if self.streams is not None:
            told = uniform(x.shape, self.streams.at("bound", block)).to(told)
        gone = surplus(x.detach() > 0.5, told, most=most, prefix=self.prefix)
        return x - x.detach() * gone  # 0 with the gradient it had, as what a mechanism turns off


def _streams(images: Images) -> Streams:
    """Draws that depend on the seed 0 and each picture's own values."""
    pixels = images.detach().float().cpu().contiguous().numpy()
    names = (hashlib.blake2b(each.tobytes(), digest_size=8).hexdigest() for each in pixels)
    return Streams(0, tuple(int(name, 16) for name in names))
