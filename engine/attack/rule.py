"""Edits of values and gradients inside the model, batch-safe: every choice is made per image."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import torch
from torch import Tensor

from engine.model.sites import Address, Rule, Site


@dataclass(frozen=True)
class Damp(Rule):
    """g <- gamma g (gamma 0 cuts the path, as detaching would)."""

    sites: frozenset[Site]
    gamma: float

    def grad(self, g: Tensor, at: Address) -> Tensor:
        del at
        return self.gamma * g


@dataclass(frozen=True)
class Erasing(Rule):
    """g <- gamma g, with zeros where g has its k largest and k smallest (k = 0: nowhere).

    `axes` are those along which entries are compared.
    """

    axes: ClassVar[tuple[int, ...]] = (1,)

    sites: frozenset[Site]
    gamma: float
    k: int = 1

    def grad(self, g: Tensor, at: Address) -> Tensor:
        del at
        edited = self.gamma * g
        return self.erase(edited, g) if self.k else edited

    @abstractmethod
    def erase(self, x: Tensor, g: Tensor) -> Tensor:
        """x, changed in place: zeros where g, of the same shape, has its extremes."""


@dataclass(frozen=True)
class ExtremeTokens(Erasing):
    """TGR's token rule on g (b, n, c).

    For each image and channel the k tokens with the largest and the k with the smallest signed
    gradient are set to zero, and the rest is multiplied by gamma:
    g[b, P u Q, c] = 0,  g <- gamma g.  (TGR, CVPR 2023; spec 1.2. Paper default k = 1.)
    """

    def erase(self, x: Tensor, g: Tensor) -> Tensor:
        return x.scatter_(1, extreme_tokens(g, self.k), 0)


@dataclass(frozen=True)
class ExtremePairs(Erasing):
    """TGR's map rule on g (b, h, n, m).

    For each image and head the k largest and k smallest signed entries are found; the whole row
    and the whole column of each are set to zero, and the rest is multiplied by gamma.
    (TGR, CVPR 2023; spec 1.2.) Where a block has one query only (class attention, n = 1) its row
    is the whole map, so only the columns, which are the extreme tokens, are set to zero.
    """

    axes = (2, 3)

    def erase(self, x: Tensor, g: Tensor) -> Tensor:
        rows, columns = extreme_pairs(g, self.k)
        if g.shape[2] > 1:
            x.scatter_(2, along_rows(rows, g), 0)
        return x.scatter_(3, along_columns(columns, g), 0)


@dataclass(frozen=True)
class ExtremeHeads(Erasing):
    """The published rule on class attention g (b, h, 1, m), where heads and tokens swap roles.

    For each *token* the heads with the largest and the smallest gradient are set to zero, and the
    rest is multiplied by gamma: what the hooks of TGR's code do to CaiT (spec 1.3).
    """

    def erase(self, x: Tensor, g: Tensor) -> Tensor:
        heads = extreme_tokens(g.squeeze(2), self.k)
        return x.scatter_(1, heads.unsqueeze(2), 0)


@dataclass(frozen=True)
class Only(Rule):
    """A rule that acts at some addresses of its sites: those of the given blocks and slots."""

    rule: Rule
    blocks: frozenset[int] | None = None
    slots: frozenset[str] | None = None

    @property
    def sites(self) -> frozenset[Site]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.rule.sites

    def holds(self, at: Address) -> bool:
        """Whether the rule acts at an address of its sites."""
        return (self.blocks is None or at.block in self.blocks) and (
            self.slots is None or at.slot in self.slots
        )

    def grad(self, g: Tensor, at: Address) -> Tensor:
        return self.rule.grad(g, at) if self.holds(at) else g


@dataclass(frozen=True)
class Remembering(Rule):
    """A rule that draws, or remembers values from block to block or from step to step.

    `arm` returns a copy for one pass over so many pictures, which reads `past` (what the pass of
    the step before kept), draws from `gen` and fills `kept`; the rule itself never changes.
    """

    pictures: int = field(default=1, kw_only=True, repr=False)
    past: Mapping[Address, Tensor] = field(default_factory=dict, kw_only=True, repr=False)
    kept: dict[Address, Tensor] = field(default_factory=dict, kw_only=True, repr=False)
    gen: torch.Generator | None = field(default=None, kw_only=True, repr=False, compare=False)

    def arm(self, pictures: int, past: Mapping[Address, Tensor], gen: torch.Generator) -> Self:
        return replace(self, pictures=pictures, past=past, kept={}, gen=gen)


@dataclass(frozen=True)
class DiversifyMaps(Remembering):
    """A <- softmax(A * U), U ~ U(1 - reach, 1 + reach), one (h, n, m) for all pictures.

    In the given blocks. (FPR's attention map diversification, CVPR 2025.)
    """

    blocks: frozenset[int]
    reach: float
    sites = frozenset({Site.ATTN})

    def edit(self, x: Tensor, at: Address) -> Tensor:
        if at.block not in self.blocks:
            return x
        draws = torch.rand(x.shape[1:], generator=self.gen).to(x)
        return (x * (1 + self.reach * (2 * draws - 1))).softmax(-1)


@dataclass(frozen=True)
class RememberBranches(Remembering):
    """out <- E_t = scale out + decay E_{t-1}; E of the step before is a constant, none at first.

    At both branches of every block. (FPR's momentum token embedding, CVPR 2025.)
    """

    scale: float
    decay: float
    sites = frozenset({Site.ATTN_OUT, Site.MLP_OUT})

    def edit(self, x: Tensor, at: Address) -> Tensor:
        x = self.scale * x
        if at in self.past:
            x = x + self.decay * self.past[at]
        self.kept[at] = x.detach()
        return x


def extreme_tokens(g: Tensor, k: int) -> Tensor:
    """For each image and channel of g (b, n, c), the k largest and k smallest tokens (b, 2k, c).

    Ties go to the first token; the two sides may name the same one. (max with an axis finds places
    several times faster than argmax on a CPU.)
    """
    if k == 1:
        sides = g.max(1, keepdim=True).indices, g.min(1, keepdim=True).indices
    else:
        k = min(k, g.shape[1])
        sides = g.topk(k, 1).indices, g.topk(k, 1, largest=False).indices
    return torch.cat(sides, 1)


def extreme_pairs(g: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Rows and columns, each (b, h, 2k), of the k largest and k smallest entries of g (b, h, n, m).

    Ties go to the first row, then column. For k = 1 the row is the one with the extreme maximum
    or minimum, and only that row is searched entry by entry.
    """
    _, _, n, m = g.shape
    if k > 1:
        flat, k = g.flatten(2), min(k, n * m)
        places = torch.cat((flat.topk(k).indices, flat.topk(k, largest=False).indices), 2)
        return places // m, places % m
    rows = torch.stack((g.amax(3), g.amin(3).neg_()), 2).argmax(3)
    lines = g.gather(2, along_rows(rows, g))
    lines[:, :, 1].neg_()
    return rows, lines.argmax(3)


def along_rows(rows: Tensor, g: Tensor) -> Tensor:
    """Row numbers (b, h, k) as an index of whole rows of g (b, h, n, m), for axis 2."""
    return rows.unsqueeze(3).expand(-1, -1, -1, g.shape[3])


def along_columns(columns: Tensor, g: Tensor) -> Tensor:
    """Column numbers (b, h, k) as an index of whole columns of g (b, h, n, m), for axis 3."""
    return columns.unsqueeze(2).expand(-1, -1, g.shape[2], -1)
