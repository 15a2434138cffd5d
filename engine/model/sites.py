"""Named places inside a model. Attacks and probes speak `Site`; only `families/` knows modules."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from torch import Tensor


class Site(StrEnum):
    """A place whose value can be seen or edited, and whose gradient can be seen or edited.

    b batch, n tokens (prefix included), h heads, d width, k inputs of a linear layer.

    What a sparsifier decides is in original token positions. 0/1 values (KEEP, `.hard`) have the
    straight-through gradient of their soft counterpart, which the slots `soft` and `.soft` hold.
    """

    QKV = "qkv"  # b n 3d    output of the query-key-value projection
    SCORES = "scores"  # b h n n   scaled scores, before the softmax
    ATTN = "attn"  # b h n n   attention map, after the softmax
    ATTN_OUT = "attn_out"  # b n d     attention branch, before the residual sum
    MLP_OUT = "mlp_out"  # b n d     MLP branch, before the residual sum
    BLOCK_OUT = "block_out"  # b n d     residual stream after the block
    LINEAR_IN = "linear_in"  # b n k     input of each linear layer (slot qkv, proj, fc1, fc2)
    FEATURE = "feature"  # b m d     what the head pools: final norm, class token (where there is one) and patches
    KEEP = "keep"  # b n       1 where a sparsified victim keeps the token in this block; slot soft
    SIGNIFICANCE = "significance"  # b n       ATS: the distribution that a block samples from
    HALTING = "halting"  # b n       A-ViT: halting score after the block
    DECISION = (
        "decision"  # b n-k, b h or b 2   AdaViT: slot tokens, heads or sublayers; .soft, .hard
    )
    COST = "cost"  # b         MACs of a sparsified victim's pass (slot macs, or dense: none spared)
    VOTE = "vote"  # b m       logits of an ensemble's member, at its last block


TRANSFORMER = frozenset(
    {
        Site.QKV,
        Site.SCORES,
        Site.ATTN,
        Site.ATTN_OUT,
        Site.MLP_OUT,
        Site.BLOCK_OUT,
        Site.LINEAR_IN,
    }
)
"""Every site of a transformer block that does not depend on what is decided in it."""


class Address(NamedTuple):
    """One place: a site in a block; `slot` tells apart several of one kind in a block."""

    site: Site
    block: int
    slot: str = ""


class Rule:
    """An edit of values (forward) or gradients (backward) at some sites; leaves are frozen values.

    Observers see the edited value. A rule that is never reached raises RuleNeverFired.
    """

    sites: frozenset[Site]

    def edit(self, x: Tensor, at: Address) -> Tensor:
        """The value that flows on instead of `x`."""
        del at
        return x

    def grad(self, g: Tensor, at: Address) -> Tensor:
        """The gradient that flows on instead of `g` (same shape)."""
        del at
        return g
