"""ATS: each chosen block samples the tokens it passes on, without any training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from engine.core.errors import BadKnob
from engine.model.sparse.host import HostBlock, join_heads, split_heads
from engine.model.sparse.sparse_vit import Sparsifier
from engine.model.sparse.trace import Layout, Significance, Trace
from engine.model.victim import Tap

Score = Literal["concat", "per_head"]
Sampler = Literal["midpoint", "reference"]


class Tokens(NamedTuple):
    """The tokens still present, packed to the left.

    x (b, m, D); valid (b, m) bool; position (b, m) original positions. m is the largest count in the
    batch; the slots an image does not need hold distinct dropped tokens of its own, so they are
    finite and scatter back without collision, and nothing ever reads them. `padded` says whether
    there are such slots.
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


def significance(
    attention: Tensor, v: Tensor, valid: Tensor, *, prefix: int, score: Score
) -> Tensor:
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


def sample(scores: Tensor, picks: int, sampler: Sampler) -> Tensor:
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
    Nothing is random, and train and eval agree. Raises `BadKnob`.
    """

    title = "ATS"

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
        scores: dict[int, Tensor] = {}
        for number, block in enumerate(blocks):
            if number in self.sampling(layout):
                entered = tokens
                tokens, s = self.sampling_block(block, entered, layout)
                scores[number] = entered.place(s, n)
            else:
                tokens = tokens._replace(x=block(tokens.x, attn_mask=tokens.keys))
            present.append(tokens.place(tokens.valid, n))
        return tokens.x, _trace(layout, torch.stack(present), scores)

    def compact(self, blocks: Sequence[HostBlock], x: Tensor, layout: Layout) -> Tensor:
        """`run` itself: one image has no padding, so what is dropped is already not computed."""
        return self.run(blocks, x, layout, None, Tap((), (), ()))[0]

    def sampling_block(
        self, block: HostBlock, tokens: Tokens, layout: Layout
    ) -> tuple[Tokens, Tensor]:
        """One block that samples: the tokens it passes on, and S (b, m) of those that entered."""
        attn = block.attn
        q, k, v = split_heads(attn, block.norm1(tokens.x))
        a = _attention_map(q * attn.scale, k, tokens.keys)
        s = significance(a[:, :, 0], v, tokens.valid, prefix=layout.prefix, score=self.score)
        keep = sample(s, layout.patches, self.sampler)
        keep[:, : layout.prefix] = True
        slots, valid, padded = _pack(keep)
        y = attn.attn_drop(_rows(a, slots)) @ v
        x = _rows(tokens.x, slots) + block.drop_path1(block.ls1(join_heads(attn, y)))
        x = x + block.drop_path2(block.ls2(block.mlp(block.norm2(x))))
        return Tokens(x, valid, tokens.position.gather(1, slots), padded), s


def _attention_map(q: Tensor, k: Tensor, keys: Tensor | None) -> Tensor:
    logits = q @ k.transpose(2, 3)
    if keys is not None:
        logits = logits.masked_fill(~keys, float("-inf"))
    return logits.softmax(3)


def _pack(keep: Tensor) -> tuple[Tensor, Tensor, bool]:
    """Kept slots of (b, m) bool, in order and to the left: slots (b, most), which are needed, any not?"""
    counts = keep.sum(1)
    fewest, most = torch.stack(counts.aminmax()).tolist()
    slots = (~keep).to(torch.uint8).sort(dim=1, stable=True).indices[:, :most]
    valid = torch.arange(most, device=keep.device) < counts[:, None]
    return slots, valid, fewest < most


def _rows(x: Tensor, slots: Tensor) -> Tensor:
    """Rows `slots` (b, r) of x (b, ..., m, c) -> (b, ..., r, c), the same rows for every head."""
    *lead, m, c = x.shape
    starts = m * torch.arange(math.prod(lead), device=x.device).view(*lead, 1)
    index = starts + slots.view(len(slots), *(1,) * (len(lead) - 1), -1)
    # Several times faster than gather, forward and backward, because whole rows are copied.
    return x.reshape(-1, c).index_select(0, index.flatten()).view(*index.shape, c)


def _trace(layout: Layout, present: Tensor, scores: dict[int, Tensor]) -> Trace:
    """`present` (l + 1, b, n): tokens before block 0, after it, and so on."""
    entering, keep = present[:-1], present[1:]
    n_in, n_out = entering.sum(2), keep.sum(2)
    s = torch.stack(list(scores.values()))
    soft = list(keep.to(s.dtype))
    for number, each in scores.items():
        chance = (layout.patches * each[:, layout.prefix :]).clamp_max(1)
        soft[number] = torch.cat((soft[number][:, : layout.prefix], chance), dim=1)
    return Trace(
        layout=layout,
        sparse=tuple(scores),
        keep=keep,
        soft=torch.stack(soft),
        n_in=n_in,
        n_out=n_out,
        heads=torch.full_like(n_in, layout.heads),
        msa=n_in > 0,
        ffn=n_in > 0,
        gates=Significance(s, entering[list(scores)]),
    )
