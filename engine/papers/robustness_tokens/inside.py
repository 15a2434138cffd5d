"""What is inside a model with tokens: attention paid to them, activations, outliers, kept patches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from engine.alter.ats import TokenSampling
from engine.alter.quantize.schemes import in_half
from engine.attack.attack import observe
from engine.core.errors import UnsupportedModel
from engine.core.shapes import Images
from engine.evaluate.judge import shown
from engine.model.sites import Address, Site
from engine.model.sparse import SparseViT
from engine.model.victim import Forward, Victim

SITES = frozenset({Site.BLOCK_OUT, Site.LINEAR_IN, Site.ATTN})
AT_ONCE = 8
"""Pictures in one pass: all activations of a large model have to fit."""


@dataclass(frozen=True)
class Inside:
    """Pictures in one model, block by block; r's own rows count only where it says so.

    (* is the pictures' axis, l blocks, h heads, d width)

    peaks     max over tokens of |residual stream after the block|, by channel
    own       the largest entry of r's own rows there; None without tokens
    outliers  columns of the inputs of the block's linear layers that reach the threshold, all rows
              counted, as LLM.int8() would send them to 16 bits;  inputs: how many there are (l,)
    spared    the same without r's rows
    kept      patches in use after each block, of a model that puts some to sleep, or with ATS on it;
              None of a model that ATS cannot stand on
    mass      share of its attention that another token pays to r, mean over tokens; None without
    """

    peaks: Float[Tensor, "*n l d"]
    own: Float[Tensor, "*n l"] | None
    outliers: Int[Tensor, "*n l"]
    spared: Int[Tensor, "*n l"]
    kept: Int[Tensor, "*n l"] | None
    mass: Float[Tensor, "*n l h"] | None
    inputs: tuple[int, ...]

    @property
    def largest(self) -> Float[Tensor, "*n l"]:
        """max |residual stream| over tokens and channels."""
        return self.peaks.amax(-1)

    def of(self, picture: int) -> Inside:
        """One of the pictures, without their axis."""
        return replace(
            self,
            **{name: value[picture] for name, value in vars(self).items() if _is_tensor(value)},
        )

    @staticmethod
    def joined(parts: Sequence[Inside]) -> Inside:
        """These pictures, then those."""
        first = parts[0]
        return replace(
            first,
            **{
                name: torch.cat([getattr(each, name) for each in parts])
                for name, value in vars(first).items()
                if _is_tensor(value)
            },
        )


@dataclass(frozen=True)
class Scope:
    """What a model is looked into with; `tokens` of its prefix are r, the last ones of it."""

    victim: Victim
    sampled: Victim | None
    tokens: int
    threshold: float

    @staticmethod
    def on(victim: Victim, tokens: int, threshold: float) -> Scope:
        """For a public model (0 tokens) or a private one."""
        if SparseViT.within(victim.module):
            return Scope(victim, victim, tokens, threshold)
        try:
            sampled = TokenSampling()(victim)
        except UnsupportedModel:
            sampled = None
        return Scope(victim, sampled, tokens, threshold)

    def look(self, pixels: Tensor) -> Inside:
        """8-bit pictures (n, 3, y, x), some at a time."""
        return Inside.joined([self._look(part) for part in pixels.split(AT_ONCE)])

    def _look(self, pixels: Tensor) -> Inside:
        x = shown(pixels, self.victim).to(self.victim.dtype)
        out = observe(self.victim, x, SITES)
        prefix = self.victim.spec.blocks[0].prefix
        own = slice(prefix - self.tokens, prefix)
        peaks, largest = _activations(out, own)
        outliers, spared, inputs = _columns(out, own, self.threshold)
        return Inside(
            peaks,
            largest if self.tokens else None,
            outliers,
            spared,
            self._kept(x, prefix),
            _mass(out, own) if self.tokens else None,
            inputs,
        )

    def _kept(self, x: Images, prefix: int) -> Tensor | None:
        """Patches that each block uses (b, l); all of them where it decides nothing."""
        if self.sampled is None:
            return None
        out, shape = observe(self.sampled, x, {Site.KEEP}), self.victim.spec.blocks[0].grid
        used = torch.full((len(x), self.victim.spec.depth), shape[0] * shape[1])
        for block in range(self.victim.spec.depth):
            at = Address(Site.KEEP, block)
            if at in out.seen:
                used[:, block] = (out.seen[at][:, prefix:] > 0.5).sum(1).cpu()
        return used


def _activations(out: Forward, own: slice) -> tuple[Tensor, Tensor]:
    """max |stream| over the other tokens (b, l, d), and over r and all channels (b, l)."""
    sizes = [value.abs() for value in out.values(Site.BLOCK_OUT)]
    others = torch.stack([_without(size, own).amax(1) for size in sizes], 1)
    rows = [size[:, own].flatten(1) for size in sizes]
    mine = torch.stack([row.amax(1) if row.shape[1] else row.sum(1) for row in rows], 1)
    return others.float().cpu(), mine.float().cpu()


def _columns(out: Forward, own: slice, threshold: float) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    """Outlier columns (b, l) with r's rows and without, and all columns by block."""
    limit, depth = in_half(threshold), len(out.values(Site.BLOCK_OUT))
    found = torch.zeros(2, depth, len(out.logits), dtype=torch.long)
    inputs = [0] * depth
    for at, x in out.seen.items():
        if at.site is not Site.LINEAR_IN:
            continue
        size = x.abs().half().float()
        for rows, side in ((size, 0), (_without(size, own), 1)):
            found[side, at.block] += (rows.amax(1) >= limit).sum(1).cpu()
        inputs[at.block] += x.shape[-1]
    return found[0].T, found[1].T, tuple(inputs)


def _mass(out: Forward, own: slice) -> Tensor:
    """sum over r of A, mean over the other tokens that ask (b, l, h)."""
    maps = out.values(Site.ATTN)
    paid = [_without(each[..., own].sum(-1).transpose(1, 2), own).mean(1) for each in maps]
    return torch.stack(paid, 1).float().cpu()


def _without(rows: Tensor, own: slice) -> Tensor:
    """(b, n, ...) without r's."""
    return torch.cat((rows[:, : own.start], rows[:, own.stop :]), 1)


def _is_tensor(value: object) -> bool:
    return isinstance(value, Tensor)
