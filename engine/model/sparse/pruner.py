"""Blocks that choose by the class token's attention which tokens they pass on; the others are gone."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from engine.core.errors import BadKnob
from engine.model.sites import TRANSFORMER, Site
from engine.model.sparse.host import HostBlock, join_heads, split_heads
from engine.model.sparse.sparse_vit import Sparsifier, keep
from engine.model.sparse.trace import Layout, Significance, Trace
from engine.model.victim import Tap


class Tokens(NamedTuple):
    """The tokens still present, packed to the left.

    x (b, m, D); valid (b, m) bool; position (b, m) original positions, each once. m is the largest
    count in the batch, or all n where somebody looks inside. The slots an image does not need hold
    its class token, so that a layer which looks at its whole input (int8) finds nothing new there;
    nothing else ever reads them. `padded` says whether there are such slots.
    """

    x: Tensor
    valid: Tensor
    position: Tensor
    padded: bool

    @property
    def keys(self) -> Tensor | None:
        """Key mask (b, 1, 1, m), or None where every slot is valid, which leaves attention fused."""
        return self.valid[:, None, None, :] if self.padded else None

    def place(self, values: Tensor, n: int) -> Tensor:
        """Values (b, m), zeroed in unneeded slots, at their original positions (b, n)."""
        empty = values.new_zeros(len(values), n)
        return empty.scatter(1, self.position, values * self.valid)


class Scored(NamedTuple):
    """What a block chose by, each (b, n): S, 0 where no patch enters, and its soft choice."""

    scores: Tensor
    soft: Tensor


class Pruner(Sparsifier):
    """Drops tokens for good in some blocks, by scores S that sum to 1 over the patches that enter.

    With I the tokens that a block chooses by S, and the prefix,
        y = A[:, :, I, :] V,   x' = x[I] + proj(y),   x'' = x' + MLP(x'),
    where A and V are of all tokens that entered. `Trace.gates` is a `Significance`. Indices carry no
    gradient; S has one but feeds no logit. Nothing is random, and train and eval agree. Where the
    host's sites are looked at, nothing is packed and they have original positions: rows of tokens
    that are gone repeat the class token, unread.
    """

    sites = TRANSFORMER | {Site.KEEP, Site.SIGNIFICANCE}
    blocks: tuple[int, ...] | None

    @abstractmethod
    def pruning(self, layout: Layout) -> tuple[int, ...]:
        """The 0-based blocks that drop tokens, ascending."""

    @abstractmethod
    def scores(
        self,
        attention: Float[Tensor, "b h m"],
        v: Float[Tensor, "b h m d"],
        valid: Bool[Tensor, "b m"],
        prefix: int,
    ) -> Float[Tensor, "b m"]:
        """S of the tokens present, from the class token's rows of A, and V."""

    @abstractmethod
    def pick(
        self, s: Float[Tensor, "b n"], layout: Layout, entering: Bool[Tensor, "b n"]
    ) -> tuple[Bool[Tensor, "b n"], Float[Tensor, "b n"]]:
        """The patches among those that enter that S has a block pass on, and how softly: in [0, 1]."""

    def check(self, layout: Layout) -> None:
        """Raise `BadKnob` if a block that is to drop tokens does not exist, or none is named."""
        chosen = self.pruning(layout)
        if not chosen or chosen[0] < 0 or chosen[-1] >= layout.depth:
            raise BadKnob("blocks", self.blocks, f"block numbers from 0 to {layout.depth - 1}")

    def run(
        self,
        blocks: Sequence[HostBlock],
        x: Tensor,
        layout: Layout,
        generator: torch.Generator | None,
        tap: Tap,
    ) -> tuple[Tensor, Trace]:
        b, n, _ = x.shape
        everywhere = torch.arange(n, device=x.device).repeat(b, 1)
        tokens = Tokens(x, torch.ones_like(everywhere, dtype=torch.bool), everywhere, False)
        present = [tokens.valid]
        scored: dict[int, Scored] = {}
        for number, block in enumerate(blocks):
            if number in self.pruning(layout):
                tokens, scored[number] = self.prune_block(block, tokens, layout, tap, number)
            else:
                tokens = tokens._replace(x=block(tokens.x, attn_mask=tokens.keys))
            tokens = tokens._replace(x=tap(Site.BLOCK_OUT, number, tokens.x))
            present.append(tokens.place(tokens.valid, n))
        return tokens.x, _trace(layout, torch.stack(present), scored)

    def compact(self, blocks: Sequence[HostBlock], x: Tensor, layout: Layout, tap: Tap) -> Tensor:
        """`run` itself: one image has no padding, so what is dropped is already not computed."""
        return self.run(blocks, x, layout, None, tap)[0]

    def prune_block(
        self, block: HostBlock, tokens: Tokens, layout: Layout, tap: Tap, number: int
    ) -> tuple[Tokens, Scored]:
        """Block `number`, which drops tokens: those it passes on, and why those."""
        attn, n = block.attn, layout.tokens
        q, k, v = split_heads(attn, block.norm1(tokens.x))
        scores = q * attn.scale @ k.transpose(2, 3)
        if tokens.keys is not None:
            scores = scores.masked_fill(~tokens.keys, float("-inf"))
        a = tap(Site.ATTN, number, tap(Site.SCORES, number, scores).softmax(3))
        s = self.scores(a[:, :, 0], v, tokens.valid, layout.prefix)
        kept, why = self._choose(
            tokens.place(s, n), tokens.place(tokens.valid, n), layout, tap, number
        )
        looked_at = bool(tap.need & TRANSFORMER)
        slots, valid, padded = _pack(kept.gather(1, tokens.position), whole=looked_at)
        rows = slots * valid
        y = attn.attn_drop(_rows(a, rows)) @ v
        x = _rows(tokens.x, rows) + block.drop_path1(block.ls1(join_heads(attn, y)))
        x = x + block.drop_path2(block.ls2(block.mlp(block.norm2(x))))
        return Tokens(x, valid, tokens.position.gather(1, slots), padded), why

    def _choose(
        self, s: Tensor, present: Tensor, layout: Layout, tap: Tap, number: int
    ) -> tuple[Tensor, Scored]:
        """The tokens (b, n) bool that S (b, n) of those present has a block keep, and why."""
        prefix = torch.arange(layout.tokens, device=s.device) < layout.prefix
        entering = present & ~prefix
        s = tap(Site.SIGNIFICANCE, number, s) * entering
        picked, soft = self.pick(s, layout, entering)
        soft = soft.masked_fill(prefix, 1)
        return keep(tap, number, picked | prefix, soft) & present | prefix, Scored(s, soft)


def share(s: Float[Tensor, "b m"], valid: Bool[Tensor, "b m"], prefix: int) -> Float[Tensor, "b m"]:
    """Each patch's share of the sum over patches; 0 at prefix and padding."""
    patch = valid & (torch.arange(s.shape[1], device=s.device) >= prefix)
    s = s * patch
    return s / s.sum(1, keepdim=True).clamp_min(torch.finfo(s.dtype).tiny)


def _pack(kept: Tensor, *, whole: bool) -> tuple[Tensor, Tensor, bool]:
    """Kept slots of (b, m) bool, in order and to the left: slots (b, most), which are needed, any not?

    `whole` leaves every slot where it is.
    """
    if whole:
        return torch.arange(kept.shape[1], device=kept.device).expand_as(kept), kept, True
    counts = kept.sum(1)
    fewest, most = torch.stack(counts.aminmax()).tolist()
    slots = (~kept).to(torch.uint8).sort(dim=1, stable=True).indices[:, :most]
    valid = torch.arange(most, device=kept.device) < counts[:, None]
    return slots, valid, fewest < most


def _rows(x: Tensor, slots: Tensor) -> Tensor:
    """Rows `slots` (b, r) of x (b, ..., m, c) -> (b, ..., r, c), the same rows for every head."""
    *lead, m, c = x.shape
    starts = m * torch.arange(math.prod(lead), device=x.device).view(*lead, 1)
    index = starts + slots.view(len(slots), *(1,) * (len(lead) - 1), -1)
    # Several times faster than gather, forward and backward, because whole rows are copied.
    return x.reshape(-1, c).index_select(0, index.flatten()).view(*index.shape, c)


def _trace(layout: Layout, present: Tensor, scored: dict[int, Scored]) -> Trace:
    """`present` (l + 1, b, n): tokens before block 0, after it, and so on."""
    entering, kept = present[:-1], present[1:]
    n_in, n_out = entering.sum(2), kept.sum(2)
    s = torch.stack([each.scores for each in scored.values()])
    soft = [scored[at].soft if at in scored else each.to(s.dtype) for at, each in enumerate(kept)]
    return Trace(
        layout=layout,
        sparse=tuple(scored),
        keep=kept,
        soft=torch.stack(soft),
        n_in=n_in,
        n_out=n_out,
        heads=torch.full_like(n_in, layout.heads),
        msa=n_in > 0,
        ffn=n_in > 0,
        gates=Significance(s, entering[list(scored)]),
    )
