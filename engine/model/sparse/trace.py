"""What a sparsified forward pass decided: plain tensors, with graph, in original token positions.

Letters: l blocks, b batch, n tokens (prefix first), k prefix tokens, p = n - k patches, h heads.
Costs, token use, attack losses, training losses and plots are all pure functions of a `Trace`.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int64
from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """The host's sizes, as far as counting needs them; MACs are multiply-accumulates of one image.

    `mlp` is MACs a token of one block's MLP (2 r D^2 for a plain one), `embed` and `head` MACs an
    image of the patch embedding (a convolutional stem included) and of the classifier.
    """

    tokens: int
    prefix: int
    width: int
    depth: int
    heads: int
    head_dim: int
    mlp: int
    embed: int
    head: int

    @property
    def patches(self) -> int:
        return self.tokens - self.prefix


@dataclass(frozen=True)
class Significance:
    """ATS, Top-k: the score distribution of each block that drops tokens (spec 1.1).

    `scores` (l', b, n), with graph, sum to 1 over the patches that enter the block and are 0 at the
    prefix and at tokens removed before; `entering` (l', b, n) bool marks all tokens that enter.
    """

    scores: Float[Tensor, "s b n"]
    entering: Bool[Tensor, "s b n"]


@dataclass(frozen=True)
class Halting:
    """A-ViT: halting scores and what adaptive computation made of them (spec 2.1, 2.2).

    `h` (l, b, n), with graph: sigmoid(gamma x_0 + beta) after each block, 0 where the token had
    halted before, and *raw* in the last block (not the forced 1), so that a prior on halting sees
    it. `weights` (l, b, n), with graph: share of each block in the output, sum over l is 1.
    `rho` (b, n), with graph: blocks executed plus remainder, the ponder cost of a token.
    """

    h: Float[Tensor, "l b n"]
    weights: Float[Tensor, "l b n"]
    rho: Float[Tensor, "b n"]

    @property
    def cumulative(self) -> Tensor:
        """c^l = sum of h up to block l, (l, b, n), with graph."""
        return self.h.cumsum(0)


@dataclass(frozen=True)
class Choices:
    """One value a decision: `tokens` (l', b, p), `heads` (l', b, h), `sublayers` (l', b, 2) = MSA, FFN."""

    tokens: Float[Tensor, "s b p"]
    heads: Float[Tensor, "s b h"]
    sublayers: Float[Tensor, "s b 2"]


@dataclass(frozen=True)
class Decisions:
    """AdaViT: every decision of the deciding blocks (spec 3.1, 3.2).

    `hard` holds 0 and 1 with the straight-through gradient of `soft`; `soft` holds the sigmoids
    (with the noise and temperature of the pass, if it had any).
    """

    hard: Choices
    soft: Choices


@dataclass(frozen=True)
class Trace:
    """The record of one forward pass; block is axis 0, image axis 1.

    sparse  0-based blocks that decide something, in order; axis l' of `gates` runs over them
    keep    (l, b, n) bool: ATS, Top-k, tokens that leave the block's attention; A-ViT, tokens
            executed by the block; AdaViT, tokens switched on in it. Only A-ViT loses prefix tokens.
    soft    (l, b, n) float in [0, 1], with graph, a smooth counterpart of `keep`: ATS min(1, R S),
            the chance that a randomly shifted sampler picks the token (its sum over patches is
            the number of midpoints' picks to within a half); Top-k min(1, k S); A-ViT max(0, 1 - c^(l-1)), the mass
            left when the block starts; AdaViT the token sigmoid. 1 where all is kept.
    n_in    (l, b) int: tokens that are keys and values of the block
    n_out   (l, b) int: tokens that are queries and pass the MLP
    heads   (l, b) int: attention heads in use;  msa, ffn  (l, b) bool: sub-layers in use
    gates   the mechanism's own evidence, with graph; None for a dense pass
    overhead  MACs an image spent on deciding
    """

    layout: Layout
    sparse: tuple[int, ...]
    keep: Bool[Tensor, "l b n"]
    soft: Float[Tensor, "l b n"]
    n_in: Int64[Tensor, "l b"]
    n_out: Int64[Tensor, "l b"]
    heads: Int64[Tensor, "l b"]
    msa: Bool[Tensor, "l b"]
    ffn: Bool[Tensor, "l b"]
    gates: Significance | Halting | Decisions | None = None
    overhead: int = 0
