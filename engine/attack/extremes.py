"""Which tokens TGR's rules erase: read in the attack's own pass, or drawn at random as a control."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.attack.rule import Erasing, Only, Remembering
from engine.core.streams import uniform
from engine.model.sites import Address, Rule, Site


@dataclass(frozen=True)
class Extremes(Remembering):
    """Keeps which tokens `rule` erases, or would erase, of each gradient; changes nothing.

    It must come before the rules that edit. For what is kept see `lost`.
    """

    rule: Rule

    @property
    def sites(self) -> frozenset[Site]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.rule.sites

    def grad(self, g: Tensor, at: Address) -> Tensor:
        if (erasing := eraser(self.rule, at)) is not None:
            self.kept[at] = lost(erased(erasing, g), g)
        return g


@dataclass(frozen=True)
class Shuffled(Remembering):
    """The control of a rule: the same factor, and as many tokens erased, but drawn at random.

    The places that the rule erases are shuffled over the tokens, in each channel on its own
    (scores: rows and columns, in each head). Ours, no published method.
    """

    rule: Rule

    @property
    def sites(self) -> frozenset[Site]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.rule.sites

    def grad(self, g: Tensor, at: Address) -> Tensor:
        erasing = eraser(self.rule, at)
        if erasing is None:
            return self.rule.grad(g, at)
        gone = self._shuffled(erased(erasing, g), erasing.axes)
        self.kept[at] = lost(gone, g)
        return (erasing.gamma * g).masked_fill_(gone, 0)

    def _shuffled(self, places: Tensor, axes: tuple[int, ...]) -> Tensor:
        """The places in random order along each of the axes."""
        if self.gen is None:
            raise RuntimeError("a rule that draws acts only in a pass it was armed for")
        for axis in axes:
            shape = [1 if i in axes and i != axis else n for i, n in enumerate(places.shape)]
            per_picture = (self.pictures, shape[0] // self.pictures, *shape[1:])
            order = uniform(per_picture, self.gen).flatten(0, 1).argsort(axis)
            places = places.gather(axis, order.to(places.device).expand_as(places))
        return places


def eraser(rule: Rule, at: Address) -> Erasing | None:
    """What of a rule erases tokens at an address; None where nothing does."""
    if isinstance(rule, Only):
        return eraser(rule.rule, at) if rule.holds(at) else None
    return rule if isinstance(rule, Erasing) and rule.k else None


def erased(rule: Erasing, g: Tensor) -> Tensor:
    """Where the rule puts zeros in g."""
    return rule.erase(torch.ones_like(g), g) == 0


def lost(gone: Tensor, g: Tensor) -> Tensor:
    """How often each token loses its gradient, where `gone`: shares in [0, 1].

    g (b, n, c): the share of channels, (b, n). g (b, h, n, m): the share of heads in which the
    token's whole row or whole column goes, (b, m). A gradient that is zero anyway is not lost: of
    a last block where only the class token has one, only the class token is counted.
    """
    alive = g != 0
    if g.ndim == 3:
        return (gone & alive).float().mean(2)
    tokens = gone.all(2) & alive.any(2)
    if g.shape[2] == g.shape[3]:
        tokens |= gone.all(3) & alive.any(3)
    return tokens.float().mean(1)
