"""What the model sees of x while the attack is made."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.attack.moment import Moment
from engine.core.shapes import Images
from engine.core.streams import uniform
from engine.model.sites import Site
from engine.model.task import Task
from engine.model.victim import Victim

View = Callable[[Images, Moment, torch.Generator], Images]
"""x, moment, generator -> what the model sees; differentiable in x."""


@runtime_checkable
class Prepared(Protocol):
    """A view that studies the clean pictures once, before step 0; `Moment.ready` holds the result.

    The result is a tensor with the batch first, or anything that does not depend on the batch.
    """

    def prepare(self, victim: Victim, task: Task) -> Any: ...


def identity(x: Images, at: Moment, gen: torch.Generator) -> Images:
    """The picture itself."""
    del at, gen
    return x


@dataclass(frozen=True)
class ResizeAndPad:
    """Input diversity (Xie et al., CVPR 2019): with `chance`, a picture is resized and padded.

    Its side grows to a random size between s and `grow` s, zeros pad it to `grow` s at a random
    place, and the whole is resized back to s (bilinear), because a ViT reads one size only.
    Drawn per picture, where the published code draws once per batch.
    """

    chance: float
    grow: float

    def __call__(self, x: Images, at: Moment, gen: torch.Generator) -> Images:
        del at
        draws: list[list[float]] = uniform((len(x), 4), gen).tolist()
        return torch.cat([self._one(*each) for each in zip(x.split(1), draws, strict=True)])

    def _one(self, x: Images, draws: list[float]) -> Images:
        size = x.shape[-1]
        full = max(size, int(size * self.grow))
        chance, *places = draws
        if chance >= self.chance:
            return x
        inner = size + int(places[0] * (full - size))
        top, left = (int(p * (full - inner + 1)) for p in places[1:])
        x = F.interpolate(x, (inner, inner), mode="bilinear", align_corners=False)
        x = F.pad(x, (left, full - inner - left, top, full - inner - top))
        return F.interpolate(x, (size, size), mode="bilinear", align_corners=False)


@dataclass(frozen=True)
class PatchOut:
    """x0 + M_t (x - x0): a random part of the perturbation's patches is shown (Wei et al., AAAI 2022).

    M_t keeps `share` of the `patch`-pixel squares; it depends on the step t only, drawn with
    Python's generator seeded by t as in the published code (130 of 196 squares at 224 pixels).
    """

    share: float = 130 / 196
    patch: int = 16

    def __call__(self, x: Images, at: Moment, gen: torch.Generator) -> Images:
        del gen
        return at.x0 + self.mask(x, at.step) * (x - at.x0)

    def mask(self, x: Images, step: int) -> Tensor:
        """M_t (1, 1, y, x), ones where the perturbation is shown."""
        rows, columns = (-(-side // self.patch) for side in x.shape[-2:])
        squares = list(range(rows * columns))
        random.Random(step).shuffle(squares)
        kept = torch.zeros(rows * columns)
        kept[squares[: round(self.share * len(squares))]] = 1
        return enlarge(kept.view(1, 1, rows, columns), self.patch, x)


@dataclass(frozen=True)
class SelfPacedPatchOut:
    """PatchOut that drops more squares as steps go by, unimportant ones first (ATT, NeurIPS 2024).

    A square stays where u_t <= 0.99 + (share - 0.99) (t + 1) / T with u_t uniform, drawn once per
    step t. Its share is offset + scale I, where I in [0, 1] is its importance: feature times
    gradient of the summed logits, summed over width, at the output of the block before the last.
    Departure: the gradient is the unedited one; the published code takes it with its own
    gradient edits installed.
    """

    scale: float
    offset: float
    patch: int = 16

    def prepare(self, victim: Victim, task: Task) -> Tensor:
        """The final share of each square (b, 1, rows, columns)."""
        shapes = victim.spec.blocks
        block = max(i for i, shape in enumerate(shapes[:-1]) if shape.queries is None)
        shape, site = shapes[block], frozenset({Site.BLOCK_OUT})
        with torch.enable_grad(), victim.session(observe=site, gradients=site) as forward:
            leaf = task.images.detach().requires_grad_()
            out = forward(leaf)
            torch.autograd.grad(out.logits.sum(), leaf)
        value = next(v for at, v in out.seen.items() if at.block == block).detach()
        gradient = next(g for at, g in out.grads.items() if at.block == block)
        tokens = (value * gradient).sum(-1)[:, shape.prefix :]
        squares = F.interpolate(
            tokens.reshape(-1, 1, *shape.grid), task.images.shape[-2:], mode="bilinear"
        )
        squares = F.avg_pool2d(squares, self.patch, ceil_mode=True)
        low, high = (op(squares, (2, 3), True) for op in (torch.amin, torch.amax))
        spread = (high - low).clamp_min(torch.finfo(squares.dtype).tiny)
        return self.offset + self.scale * (squares - low) / spread

    def __call__(self, x: Images, at: Moment, gen: torch.Generator) -> Images:
        del gen
        share = 0.99 + (at.ready - 0.99) * ((at.step + 1) / at.steps)
        draw = torch.rand(share.shape[-2:], generator=torch.Generator().manual_seed(at.step))
        return at.x0 + enlarge(draw.to(share) <= share, self.patch, x) * (x - at.x0)


def enlarge(squares: Tensor, patch: int, x: Images) -> Tensor:
    """A value per square (b, 1, rows, columns) as a value per pixel of x (b, 1, y, x)."""
    wide = squares.to(x).repeat_interleave(patch, 2).repeat_interleave(patch, 3)
    return wide[..., : x.shape[-2], : x.shape[-1]]
