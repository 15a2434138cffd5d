"""ATT's rule: extremes are weakened by how much the gradient's variance grew."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.attack.places import Place
from engine.attack.rule import (
    Remembering,
    along_columns,
    along_rows,
    extreme_pairs,
    extreme_tokens,
)
from engine.model.sites import Address, Site


@dataclass(frozen=True)
class SoftenExtremes(Remembering):
    """g <- weaken g, then extremes times f, at the places of one component (ATT, NeurIPS 2024).

    f = clamp(gamma + adapt (1 - sqrt(Var(weaken g) / V)), 0, 1) per picture, with V the variance
    of the edited gradient of the place met just before, one block deeper; gamma at the first place
    and where V = 0. In the `cut` blocks the gradient is zero. A factor acts once for each extreme
    that names a token, row or column, as in the published code.
    """

    places: tuple[Place, ...]
    weaken: float
    gamma: float
    adapt: float
    cut: frozenset[int] = frozenset()

    @property
    def sites(self) -> frozenset[Site]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return frozenset(place.site for place in self.places)

    def grad(self, g: Tensor, at: Address) -> Tensor:
        place = next((place for place in self.places if place.holds(at)), None)
        if place is None:
            return g
        edited = (0 if at.block in self.cut else self.weaken) * g
        factor = self._factor(edited).repeat_interleave(len(g) // self.pictures)
        if place.compares == "pairs":
            soften_pairs(edited, factor)
        else:
            soften_tokens(edited.squeeze(2) if place.compares == "heads" else edited, factor)
        self.kept[BEFORE] = self._variance(edited)
        return edited

    def _variance(self, g: Tensor) -> Tensor:
        """Var over all entries of each picture's gradient (b,), its windows together.

        From sums, because torch's own takes up to forty times as long along an axis.
        """
        flat = g.reshape(self.pictures, -1)
        n, total = flat.shape[1], flat.sum(1)
        squares = torch.linalg.vector_norm(flat, dim=1).square()
        return (squares - total.square() / n).clamp_min(0) / (n - 1)

    def _factor(self, g: Tensor) -> Tensor:
        """f, one per picture (b,)."""
        same = g.new_full((self.pictures,), self.gamma)
        before = self.kept.get(BEFORE)
        if before is None:
            return same
        ratio = self._variance(g) / before
        moved = (self.gamma + self.adapt * (1 - ratio.sqrt())).clamp(0, 1)
        return torch.where(before > 0, moved, same)


BEFORE = Address(Site.BLOCK_OUT, -1, "variance of the place before")


def soften_tokens(g: Tensor, factor: Tensor) -> None:
    """Multiply each channel's largest and smallest token of g (b, n, c) in place."""
    for token in extreme_tokens(g, 1).split(1, 1):
        g.scatter_(1, token, g.gather(1, token) * factor.view(-1, 1, 1))


def soften_pairs(g: Tensor, factor: Tensor) -> None:
    """Multiply rows and columns of each head's largest and smallest cell of g in place."""
    rows, columns = extreme_pairs(g, 1)
    each = factor.view(-1, 1, 1, 1)
    for row in rows.split(1, 2):
        index = along_rows(row, g)
        g.scatter_(2, index, g.gather(2, index) * each)
    for column in columns.split(1, 2):
        index = along_columns(column, g)
        g.scatter_(3, index, g.gather(3, index) * each)
