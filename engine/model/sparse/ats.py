"""ATS: each chosen block samples the tokens it passes on, without any training."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from engine.core.errors import BadKnob
from engine.model.sparse.pruner import Pruner, share
from engine.model.sparse.trace import Layout

Score = Literal["concat", "per_head"]
Sampler = Literal["midpoint", "reference"]


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
    return share(s, valid, prefix)


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


class ATS(Pruner):
    """Adaptive token sampling (Fayyaz et al., ECCV 2022), spec section 1; nothing is trained.

    Each block of `blocks` samples the scores S of `significance` at R = p levels (p the patches of
    the whole image, in every block), and drops what was not sampled (`Pruner`). `blocks` are
    0-based, by default the last three quarters (3..11 of 12). There is no cap and no floor (the
    published code keeps at least 8). Raises `BadKnob`.
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

    def pruning(self, layout: Layout) -> tuple[int, ...]:
        if self.blocks is None:
            return tuple(range(layout.depth // 4, layout.depth))
        return tuple(sorted(set(self.blocks)))

    def scores(self, attention: Tensor, v: Tensor, valid: Tensor, prefix: int) -> Tensor:
        return significance(attention, v, valid, prefix=prefix, score=self.score)

    def pick(self, s: Tensor, layout: Layout, entering: Tensor) -> tuple[Tensor, Tensor]:
        """What the sampler hits, and min(1, R S)."""
        del entering
        return sample(s, layout.patches, self.sampler), (layout.patches * s).clamp_max(1)
