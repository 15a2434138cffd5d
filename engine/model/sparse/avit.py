"""A-ViT: tokens halt when their accumulated halting score reaches one."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from engine.core.errors import UnsupportedModel
from engine.model.sites import TRANSFORMER, Site
from engine.model.sparse import host
from engine.model.sparse.host import HostBlock
from engine.model.sparse.sparse_vit import SparseViT, Sparsifier, keep
from engine.model.sparse.trace import Halting, Layout, Trace
from engine.model.victim import Tap


class Ledger(NamedTuple):
    """Adaptive computation so far, each (b, n): sum c of scores, remainder R, ponder rho, active m."""

    c: Tensor
    remainder: Tensor
    rho: Tensor
    active: Tensor

    @classmethod
    def open(cls, b: int, n: int, like: Tensor) -> Ledger:
        zero = like.new_zeros(b, n, dtype=_precise(like))
        return cls(zero, zero + 1, zero, torch.ones_like(zero, dtype=torch.bool))


def accumulate(ledger: Ledger, h: Tensor, *, tau: float, last: bool) -> tuple[Ledger, Tensor]:
    """Book one block's halting scores h (b, n): the ledger after it, and the block's output weight.

    c <- c + h (1 in the last block); a token that reaches 1 - tau puts its remainder R on this
    block and halts; one that does not puts h on it, and R <- R - h. Weights sum to 1 over blocks.
    Source: Graves 2016 as used by A-ViT (CVPR 2022), spec 2.2.
    """
    c, remainder, rho, active = ledger
    c = c + (torch.ones_like(h) if last else h) * active
    reached = active & (c >= 1 - tau)
    running = active & ~reached
    spent = h * running
    weight = torch.where(reached, remainder, spent)
    rho = rho + active + remainder * reached
    return Ledger(c, remainder - weight, rho, running), weight


def _stop(ledger: Ledger, kept: Tensor, weight: Tensor) -> tuple[Ledger, Tensor]:
    """Go on with the tokens `kept` (b, n): one that ran and is not kept halts as if it had reached 1."""
    left = ledger.remainder * (ledger.active & ~kept)
    open_, rho = ledger.remainder - left, ledger.rho + left
    return ledger._replace(remainder=open_, rho=rho, active=kept), weight + left


def _left(ledger: Ledger) -> Tensor:
    """The mass that a token has left (b, n): max(0, 1 - c)."""
    return (1 - ledger.c).clamp_min(0)


class AViT(Sparsifier):
    """Adaptive tokens (Yin et al., CVPR 2022), spec section 2.

    h^l_j = sigmoid(gamma x^l_(j,0) + beta) after block l, from channel 0 of the residual stream;
    a token is executed until sum_l h >= 1 - tau, and the head reads sum_l weight^l x^l.
    gamma and beta are constants, kept as buffers. The defaults are those of the published tiny
    model; small models that are to be trained start better with `live_start`.

    Training needs, all in `Trace.gates` (a `Halting`): ponder loss `rho[:, k:].mean()`; prior loss
    on `h[:, :, k:].mean((1, 2))`; depth counts are `Trace.keep.sum(0)`. Nothing is sampled: train
    and eval agree.

    Departures from the published code, none of which moves a logit: halted tokens are excluded by
    a boolean key mask instead of a -1000 bias and zeroed rows, and their later h count as 0.
    """

    title = "A-ViT"
    sites = TRANSFORMER | {Site.KEEP, Site.HALTING}
    gamma: Tensor
    beta: Tensor

    def __init__(self, gamma: float = 10.0, beta: float = -30.0, *, tau: float = 0.01) -> None:
        super().__init__()
        self.register_buffer("gamma", torch.tensor(gamma))
        self.register_buffer("beta", torch.tensor(beta))
        self.tau = tau

    def check(self, layout: Layout) -> None:
        """Fits every host."""

    def halting_scores(self, x: Tensor) -> Tensor:
        """sigmoid(gamma x_0 + beta), (b, n), at least in float32: near 1 - tau halves are too coarse."""
        return torch.sigmoid(self.gamma * x[..., 0].to(_precise(x)) + self.beta)

    def run(
        self,
        blocks: Sequence[HostBlock],
        x: Tensor,
        layout: Layout,
        generator: torch.Generator | None,
        tap: Tap,
    ) -> tuple[Tensor, Trace]:
        ledger = Ledger.open(*x.shape[:2], like=x)
        output = torch.zeros_like(x[:, : layout.prefix])
        scores: list[Tensor] = []
        weights: list[Tensor] = []
        kept, soft = [ledger.active], [torch.ones_like(ledger.c)]
        for number, block in enumerate(blocks):
            x = block(x, attn_mask=_keys(ledger.active) if number else None)
            x = tap(Site.BLOCK_OUT, number, x)
            h = tap(Site.HALTING, number, self.halting_scores(x) * ledger.active)
            ledger, weight = self._book(ledger, h, number, layout, tap)
            kept.append(ledger.active)
            soft.append(_left(ledger))
            scores.append(h)
            weights.append(weight)
            output = output + weight[:, : layout.prefix, None] * x[:, : layout.prefix]
        gates = Halting(torch.stack(scores), torch.stack(weights), ledger.rho)
        trace = self._trace(layout, torch.stack(kept[:-1]), torch.stack(soft[:-1]), gates)
        return output.to(x.dtype), trace

    def compact(self, blocks: Sequence[HostBlock], x: Tensor, layout: Layout, tap: Tap) -> Tensor:
        ledger = Ledger.open(*x.shape[:2], like=x)
        output = torch.zeros_like(x)
        rows = torch.arange(x.shape[1], device=x.device)
        for number, block in enumerate(blocks):
            x = block(x)
            h = torch.zeros_like(ledger.c).index_copy(1, rows, self.halting_scores(x))
            ledger, weight = self._book(ledger, h, number, layout, tap)
            output = output.index_add(1, rows, (weight[:, rows, None] * x).to(output.dtype))
            on = ledger.active[0, rows]
            if not on.any():
                break
            x, rows = x[:, on], rows[on]
        return output

    def _book(
        self, ledger: Ledger, h: Tensor, number: int, layout: Layout, tap: Tap
    ) -> tuple[Ledger, Tensor]:
        """The ledger after block `number` and the block's output weight; the tap may stop tokens."""
        last = number == layout.depth - 1
        ledger, weight = accumulate(ledger, h, tau=self.tau, last=last)
        if last:
            return ledger, weight
        kept = keep(tap, number + 1, ledger.active, _left(ledger))
        return _stop(ledger, kept, weight)

    def _trace(self, layout: Layout, kept: Tensor, soft: Tensor, gates: Halting) -> Trace:
        count = kept.sum(2)
        return Trace(
            layout=layout,
            sparse=tuple(range(1, layout.depth)),
            keep=kept,
            soft=soft,
            n_in=count,
            n_out=count,
            heads=torch.full_like(count, layout.heads),
            msa=count > 0,
            ffn=count > 0,
            gates=gates,
        )


def live_start(backbone: VisionTransformer, *, gamma: float = 5.0) -> SparseViT:
    """A copy of a dense ViT as an A-ViT whose halting has a gradient from the first step (spec 6.4).

    With the published gate sigmoid(10 x_0 - 30) a small model starts at scores of 1e-13 and the
    ponder loss cannot move it. Here channel 0 is silenced everywhere it is written (patch and
    prefix embeddings, positions, the rows of every proj and fc2), so that x_0 = 0 at the start,
    and beta = logit(1 / (L + 1)): every block scores 1/(L + 1) and tokens first halt in the last
    block. Raises `UnsupportedModel` if the stem writes channel 0 in a way not understood.
    """
    model = SparseViT(
        copy.deepcopy(backbone), AViT(gamma, -math.log(len(host.blocks_of(backbone))))
    )
    writers = [*_last_layers(model.backbone.patch_embed), model.backbone.norm_pre]
    for block in host.blocks_of(model.backbone):
        writers += [*_last_layers(block.attn), *_last_layers(block.mlp)]
    with torch.no_grad():
        for name, parameter in model.backbone.named_parameters(recurse=False):
            if name in {"cls_token", "reg_token", "dist_token", "pos_embed"}:
                parameter[..., 0] = 0
        for parameter in (p for writer in writers for p in writer.parameters()):
            parameter[0] = 0
    _require_silence(model)
    return model


def _last_layers(module: host.Module) -> list[nn.Module]:
    """The last layer with weights, and the one before it when that is a convolution it normalises."""
    layers = [part for part in module.modules() if hasattr(part, "weight")]
    normalised = len(layers) > 1 and not isinstance(layers[-1], nn.Conv2d | nn.Linear)
    return layers[-2:] if normalised else layers[-1:]


def _require_silence(model: SparseViT) -> None:
    backbone = model.backbone
    stem = copy.deepcopy(backbone).eval()
    size = backbone.patch_embed.img_size
    like = next(backbone.parameters())
    noise = torch.randn(2, backbone.in_chans, *size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        loudest = host.embed(stem, noise.to(like))[..., 0].abs().max()
    if loudest > 0:
        raise UnsupportedModel(
            "Channel 0 of this model's patch embedding could not be silenced.",
            "Use a plain or convolutional stem, or build AViT with published constants.",
        )


def _keys(active: Tensor) -> Tensor:
    """Key mask (b, 1, 1, n); an image without any active token attends to all, its rows are unread."""
    return (active | ~active.any(1, keepdim=True))[:, None, None, :]


def _precise(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)
