"""ATS: each chosen block samples the tokens it passes on, without any training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from engine.core.errors import BadKnob
from engine.model.sites import TRANSFORMER, Site
from engine.model.sparse.host import HostBlock, join_heads, split_heads
from engine.model.sparse.sparse_vit import NOBODY, Sparsifier, keep
from engine.model.sparse.trace import Layout, Significance, Trace
from engine.model.victim import Tap

Score = Literal["concat", "per_head"]
Sampler = Literal["midpoint", "reference"]


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


class Sampled(NamedTuple):
    """What a block sampled from, each (b, n): S, 0 where no patch enters, and min(1, R S)."""

    scores: Tensor
    soft: Tensor


def significance(
    attention: Float[Tensor, "b h m"],
    v: Float[Tensor, "b h m d"],
    valid: Bool[Tensor, "b m"],
    *,
    prefix: int,
    score: Score,
) -> Float[Tensor, "b m"]:
    """S (b, m): share of each patch in what the class token reads; 0 at prefix and padding, sum 1.

    concat    s_j = (sum_h A^h_0j) |concat_h V^h_j|   published code
    per_head  s_j = sum_h A^h_0j |V^h_j|              DeSparsify's text
    attention (b, h, m): the class token's rows of A; v (b, h, m, d). Where |V_j| = 0 the norm's
    gradient is 0. Spec 1.1.
    """
    precise = torch.promote_types(v.dtype, torch.float32)
    if score == "concat":
        s = attention.sum(1) * torch.linalg.vector_norm(v, dim=(1, 3), dtype=precise)
    else:
        s = (attention * torch.linalg.vector_norm(v, dim=3, dtype=precise)).sum(1)
    patch = valid & (torch.arange(s.shape[1], device=s.device) >= prefix)
    s = s * patch
    return s / s.sum(1, keepdim=True).clamp_min(torch.finfo(s.dtype).tiny)


def sample(scores: Float[Tensor, "b m"], picks: int, sampler: Sampler) -> Bool[Tensor, "b m"]:
    """The slots that inverse-transform sampling of S (b, m) with R = `picks` levels hits, (b, m) bool.

    C = cumsum of S in ascending order, in float64.
    midpoint   levels (2k - 1) / 2R, k = 1..R, each taking the first C >= level (paper). S_j >= 1/R
               is kept, S_j = 0 is not, uniform scores over n <= R tokens are kept whole, and the
               number kept is sum_j min(1, R S_j) to within a half.
    reference  published code for one image: C rescaled to [0, 1] from its smallest positive value,
               R levels from the smallest positive result to 1, each taking the nearest C; the
               least token is out of reach. (In the published batches, padding changes which token
               that is; here it does not.)
    Spec 1.2, 1.3.
    """
    # Where float64 is missing the CPU samples: a tie broken differently is another set of tokens.
    exact = scores.detach().to("cpu" if scores.device.type == "mps" else scores.device).double()
    ascending, order = exact.sort(dim=1, stable=True)
    cumulative = ascending.cumsum(1)
    cumulative = cumulative / cumulative[:, -1:].clamp_min(torch.finfo(exact.dtype).tiny)
    hit = _midpoints(cumulative, picks) if sampler == "midpoint" else _nearest(cumulative, picks)
    chosen = torch.zeros_like(exact, dtype=torch.bool)
    chosen = chosen.scatter(1, order.gather(1, hit), True)
    return (chosen & (exact > 0)).to(scores.device)


def _midpoints(cumulative: Tensor, picks: int) -> Tensor:
    k = torch.arange(1, picks + 1, dtype=cumulative.dtype, device=cumulative.device)
    levels = ((2 * k - 1) / (2 * picks)).repeat(len(cumulative), 1)
    return torch.searchsorted(cumulative, levels).clamp_max(cumulative.shape[1] - 1)


def _nearest(cumulative: Tensor, picks: int) -> Tensor:
    lowest = cumulative.where(cumulative > 0, 1).amin(1, keepdim=True)
    scaled = (cumulative - lowest) / (1 - lowest).clamp_min(torch.finfo(cumulative.dtype).eps)
    first = scaled.where(scaled > 0, 1).amin(1, keepdim=True)
    steps = torch.linspace(0, 1, picks, dtype=cumulative.dtype, device=cumulative.device)
    levels = first + (1 - first) * steps
    above = torch.searchsorted(scaled, levels).clamp_max(scaled.shape[1] - 1)
    below = (above - 1).clamp_min(0)
    nearer = levels - scaled.gather(1, below) <= scaled.gather(1, above) - levels
    return torch.where(nearer, below, above)


class ATS(Sparsifier):
    """Adaptive token sampling (Fayyaz et al., ECCV 2022), spec section 1; nothing is trained.

    Each block of `blocks` samples the scores S of `significance` at R = p levels (p the patches of
    the whole image, in every block). With I the sampled tokens and the prefix,
        y = A[:, :, I, :] V,   x' = x[I] + proj(y),   x'' = x' + MLP(x'),
    where A and V are of all tokens that entered; the others are gone for good. `blocks` are
    0-based, by default the last three quarters (3..11 of 12). I has no cap and no floor (the
    published code keeps at least 8).

    `Trace.gates` is a `Significance`. Indices carry no gradient; S has one but feeds no logit.
    Nothing is random, and train and eval agree. Where the host's sites are looked at, nothing is
    packed and they have original positions: rows of tokens that are gone repeat the class token,
    unread. Raises `BadKnob`.
    """

    title = "ATS"
    sites = TRANSFORMER | {Site.KEEP, Site.SIGNIFICANCE}

    def __init__(
        self,
        blocks: tuple[int, ...] | None = None,
        *,
        score: Score = "concat",
        sampler: Sampler = "midpoint",
    ) -> None:
        super().__init__()
        if score not in get_args(Score):
            raise BadKnob("score", score, f"one of {', '.join(get_args(Score))}")
        if sampler not in get_args(Sampler):
            raise BadKnob("sampler", sampler, f"one of {', '.join(get_args(Sampler))}")
        self.blocks = blocks
        self.score: Score = score
        self.sampler: Sampler = sampler

    def check(self, layout: Layout) -> None:
        """Raise `BadKnob` if a sampling block does not exist, or none is named."""
        chosen = self.sampling(layout)
        if not chosen or chosen[0] < 0 or chosen[-1] >= layout.depth:
            raise BadKnob("blocks", self.blocks, f"block numbers from 0 to {layout.depth - 1}")

    def sampling(self, layout: Layout) -> tuple[int, ...]:
        """The 0-based blocks that sample, ascending."""
        if self.blocks is None:
            return tuple(range(layout.depth // 4, layout.depth))
        return tuple(sorted(set(self.blocks)))

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
        sampled: dict[int, Sampled] = {}
        for number, block in enumerate(blocks):
            if number in self.sampling(layout):
                tokens, sampled[number] = self.sampling_block(block, tokens, layout, tap, number)
            else:
                tokens = tokens._replace(x=block(tokens.x, attn_mask=tokens.keys))
            tokens = tokens._replace(x=tap(Site.BLOCK_OUT, number, tokens.x))
            present.append(tokens.place(tokens.valid, n))
        return tokens.x, _trace(layout, torch.stack(present), sampled)

    def compact(self, blocks: Sequence[HostBlock], x: Tensor, layout: Layout) -> Tensor:
        """`run` itself: one image has no padding, so what is dropped is already not computed."""
        return self.run(blocks, x, layout, None, NOBODY)[0]

    def sampling_block(
        self, block: HostBlock, tokens: Tokens, layout: Layout, tap: Tap, number: int
    ) -> tuple[Tokens, Sampled]:
        """Block `number`, which samples: the tokens it passes on, and why those."""
        attn, n = block.attn, layout.tokens
        q, k, v = split_heads(attn, block.norm1(tokens.x))
        scores = q * attn.scale @ k.transpose(2, 3)
        if tokens.keys is not None:
            scores = scores.masked_fill(~tokens.keys, float("-inf"))
        a = tap(Site.ATTN, number, tap(Site.SCORES, number, scores).softmax(3))
        s = significance(a[:, :, 0], v, tokens.valid, prefix=layout.prefix, score=self.score)
        kept, why = self.choose(
            tokens.place(s, n), tokens.place(tokens.valid, n), layout, tap, number
        )
        looked_at = bool(tap.need & TRANSFORMER)
        slots, valid, padded = _pack(kept.gather(1, tokens.position), whole=looked_at)
        rows = slots * valid
        y = attn.attn_drop(_rows(a, rows)) @ v
        x = _rows(tokens.x, rows) + block.drop_path1(block.ls1(join_heads(attn, y)))
        x = x + block.drop_path2(block.ls2(block.mlp(block.norm2(x))))
        return Tokens(x, valid, tokens.position.gather(1, slots), padded), why

    def choose(
        self, s: Tensor, entering: Tensor, layout: Layout, tap: Tap, number: int
    ) -> tuple[Tensor, Sampled]:
        """The tokens (b, n) bool that S (b, n) of those entering has a block keep, and why."""
        prefix = torch.arange(layout.tokens, device=s.device) < layout.prefix
        s = tap(Site.SIGNIFICANCE, number, s) * (entering & ~prefix)
        soft = (layout.patches * s).clamp_max(1).masked_fill(prefix, 1)
        kept = sample(s, layout.patches, self.sampler) | prefix
        return keep(tap, number, kept, soft) & entering | prefix, Sampled(s, soft)


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


def _trace(layout: Layout, present: Tensor, sampled: dict[int, Sampled]) -> Trace:
    """`present` (l + 1, b, n): tokens before block 0, after it, and so on."""
    entering, kept = present[:-1], present[1:]
    n_in, n_out = entering.sum(2), kept.sum(2)
    s = torch.stack([each.scores for each in sampled.values()])
    soft = [sampled[at].soft if at in sampled else each.to(s.dtype) for at, each in enumerate(kept)]
    return Trace(
        layout=layout,
        sparse=tuple(sampled),
        keep=kept,
        soft=torch.stack(soft),
        n_in=n_in,
        n_out=n_out,
        heads=torch.full_like(n_in, layout.heads),
        msa=n_in > 0,
        ffn=n_in > 0,
        gates=Significance(s, entering[list(sampled)]),
    )
