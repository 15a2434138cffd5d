"""AdaViT: small linear deciders switch patches, heads and sub-layers off in each block."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from engine.core.errors import EngineError
from engine.model.attention import attend, bias_of
from engine.model.sites import TRANSFORMER, Site
from engine.model.sparse.host import HostAttention, HostBlock, join_heads, split_heads
from engine.model.sparse.sparse_vit import NOBODY, Sparsifier
from engine.model.sparse.trace import Choices, Decisions, Layout, Trace
from engine.model.victim import Tap

KINDS = ("tokens", "heads", "sublayers")


class Decision(NamedTuple):
    """One block's decisions of one kind: 0/1 with straight-through gradient, and their sigmoids."""

    hard: Tensor
    soft: Tensor


def binarise(
    logit: Tensor,
    *,
    threshold: float,
    temperature: float = 1.0,
    noise: Tensor | None = None,
    see: Callable[[str, Tensor], Tensor] = lambda _, x: x,
) -> Decision:
    """soft = sigmoid((logit + noise) / temperature), hard = 1[soft > threshold] (spec 3.2).

    Without noise the temperature is not used. With logistic noise (a difference of two Gumbels)
    P[hard = 1] = sigmoid(logit - temperature * log(threshold / (1 - threshold))).
    `see` is shown "soft" and "hard", and what it returns is what is decided.
    """
    logit = logit.to(torch.promote_types(logit.dtype, torch.float32))
    soft = see("soft", torch.sigmoid(logit if noise is None else (logit + noise) / temperature))
    return Decision(see("hard", (soft > threshold) + (soft - soft.detach())), soft)


class Decider(nn.Module):
    """The three linear decision heads of one block (spec 3.1)."""

    def __init__(self, layout: Layout, *, token_bias: float, bias: float) -> None:
        super().__init__()
        self.token = _decision_layer(layout.width, 1, token_bias)
        self.head = _decision_layer(layout.width, layout.heads, bias)
        self.sublayer = _decision_layer(layout.width, 2, bias)

    def forward(self, patches: Tensor, cls: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """LN1 of the patches (b, p, D) and the raw class token (b, D) -> logits of each kind."""
        return self.token(patches).squeeze(-1), self.head(cls), self.sublayer(cls)


class AdaViT(Sparsifier):
    """Adaptive patches, heads and sub-layers (Meng et al., CVPR 2022), spec section 3.

    Blocks from `start` on decide: m = patches kept, M_h = heads kept, (M_msa, M_ffn) = sub-layers
    kept, and the block becomes
        x <- x + M_msa m MSA(x),   x <- x + M_ffn m MLP(x)
    where kept tokens attend to kept tokens, a dropped one only to itself, and the outputs of heads
    with M_h = 0 are zeroed before the projection. Dropped tokens ride the residual and may return.

    Training passes a generator to `SparseViT.trace`: decisions are then sampled,
    soft = sigmoid((logit + g1 - g2) / temperature). Losses read `Trace.gates` (a `Decisions`):
    usage is `gates.hard.tokens`, `.heads`, `.sublayers` (straight-through gradient). Beware: with
    noise a token is on with probability sigmoid(z - t logit(.6)), without noise iff z > logit(.6),
    so evaluation keeps more than training did; choose targets by the evaluated cost.

    Departures: one `start` for all kinds of decision (released code: patches from 0, the others
    from 1; DeSparsify: 1); off heads do not also zero their channels of the MLP's input, unless
    `head_masks_mlp`, as the released models have it (no work is saved there); the biases of the
    patch deciders start at 1 + t logit(.6) so that *sampled* patches start mostly on, too (bias 1
    alone would keep a quarter).
    """

    title = "AdaViT"
    sites = TRANSFORMER | {Site.FEATURE, Site.KEEP, Site.DECISION}

    def __init__(
        self,
        layout: Layout,
        *,
        start: int = 1,
        temperature: float = 5.0,
        token_threshold: float = 0.6,
        threshold: float = 0.5,
        head_masks_mlp: bool = False,
    ) -> None:
        super().__init__()
        if not 0 <= start < layout.depth:
            raise EngineError(
                f"No block of {layout.depth} would decide anything if decisions start at {start}.",
                f"Choose a start from 0 to {layout.depth - 1}.",
            )
        self.start = start
        self.temperature = temperature
        self.token_threshold = token_threshold
        self.threshold = threshold
        self.head_masks_mlp = head_masks_mlp
        token_bias = 1 + temperature * math.log(token_threshold / (1 - token_threshold))
        self.deciders = nn.ModuleList(
            Decider(layout, token_bias=token_bias, bias=1.0) for _ in range(start, layout.depth)
        )

    def check(self, layout: Layout) -> None:
        """Raise if the deciders were made for another width, number of heads or depth."""
        made = (len(self.deciders) + self.start, *_decider(self, 0).head.weight.shape)
        if made != (layout.depth, layout.heads, layout.width):
            raise EngineError(
                f"These deciders are for depth, heads, width {made}, not for this model.",
                "Build AdaViT from the layout of the model it runs.",
            )

    def overhead(self, layout: Layout) -> int:
        """MACs an image of all deciders."""
        return len(self.deciders) * (layout.patches + layout.heads + 2) * layout.width

    def decide(
        self,
        number: int,
        normed: Tensor,
        x: Tensor,
        prefix: int,
        noise: Tensor | None,
        tap: Tap = NOBODY,
    ) -> tuple[Decision, Decision, Decision]:
        """Decisions on patches (b, p), heads (b, h) and sub-layers (b, 2) of block `number`."""
        logits = _decider(self, number - self.start)(normed[:, prefix:], x[:, 0])
        sizes = [each.shape[1] for each in logits]
        noises = (None, None, None) if noise is None else noise.split(sizes, dim=1)
        thresholds = (self.token_threshold, self.threshold, self.threshold)

        def see(kind: str, which: str, x: Tensor) -> Tensor:
            return tap(Site.DECISION, number, x, f"{kind}.{which}")

        token, head, sublayer = (
            binarise(
                logit,
                threshold=threshold,
                temperature=self.temperature,
                noise=drawn,
                see=partial(see, kind),
            )
            for kind, logit, threshold, drawn in zip(KINDS, logits, thresholds, noises, strict=True)
        )
        return token, head, sublayer

    def run(
        self,
        blocks: Sequence[HostBlock],
        x: Tensor,
        layout: Layout,
        generator: torch.Generator | None,
        tap: Tap,
    ) -> tuple[Tensor, Trace]:
        noise = self._noise(x, layout, generator)
        made: list[tuple[Decision, Decision, Decision]] = []
        kept = [x.new_ones(x.shape[:2], dtype=torch.bool)] * self.start
        for number, block in enumerate(blocks[: self.start]):
            x = tap(Site.BLOCK_OUT, number, block(x))
        for number, block in enumerate(blocks[self.start :], self.start):
            normed = block.norm1(x)
            drawn = None if noise is None else noise[number - self.start]
            made.append(self.decide(number, normed, x, layout.prefix, drawn, tap))
            token, head, sublayer = made[-1]
            m = _kept(token, layout.prefix, tap, number)
            kept.append(m.detach() > 0)
            hard = (each.to(x.dtype) for each in (m, head.hard, sublayer.hard))
            x = masked_block(block, x, normed, *hard, tap, number, self.head_masks_mlp)
            x = tap(Site.BLOCK_OUT, number, x)
        return x, self._trace(layout, made, torch.stack(kept))

    def compact(self, blocks: Sequence[HostBlock], x: Tensor, layout: Layout, tap: Tap) -> Tensor:
        for block in blocks[: self.start]:
            x = block(x)
        for number, block in enumerate(blocks[self.start :], self.start):
            normed = block.norm1(x)
            token, head, sublayer = self.decide(number, normed, x, layout.prefix, None)
            rows = _kept(token, layout.prefix, tap, number)[0].nonzero().squeeze(1)
            msa, ffn = (sublayer.hard[0] > 0).tolist()
            if msa:
                used = (head.hard[0] > 0).nonzero().squeeze(1)
                x = x.index_add(1, rows, block.ls1(_some_heads(block.attn, normed[:, rows], used)))
            if ffn:
                read = block.norm2(x[:, rows])
                if self.head_masks_mlp:
                    read = read * _channels(head.hard.to(x.dtype), x)
                x = x.index_add(1, rows, block.ls2(block.mlp(read)))
        return x

    def _noise(self, x: Tensor, layout: Layout, generator: torch.Generator | None) -> Tensor | None:
        """Logistic noise of the whole pass (l', b, p + h + 2): one draw, one transfer."""
        if generator is None:
            return None
        shape = (len(self.deciders), x.shape[0], layout.patches + layout.heads + 2)
        u = torch.rand(shape, generator=generator, device=generator.device, dtype=torch.float64)
        drawn = torch.logit(u, eps=1e-12)
        return drawn.to(torch.promote_types(x.dtype, torch.float32)).to(x.device)

    def _trace(
        self, layout: Layout, made: list[tuple[Decision, Decision, Decision]], kept: Tensor
    ) -> Trace:
        tokens, heads, sublayers = (
            (torch.stack([each.hard for each in kind]), torch.stack([each.soft for each in kind]))
            for kind in zip(*made, strict=True)
        )
        gates = Decisions(
            Choices(tokens[0], heads[0], sublayers[0]), Choices(tokens[1], heads[1], sublayers[1])
        )
        count = kept.sum(2)
        on = self._all_blocks(gates.hard.sublayers > 0)
        return Trace(
            layout=layout,
            sparse=tuple(range(self.start, layout.depth)),
            keep=kept,
            soft=self._all_blocks(_with_prefix(gates.soft.tokens, layout.prefix)),
            n_in=count,
            n_out=count,
            heads=self._all_blocks(gates.hard.heads > 0).sum(2),
            msa=on[..., 0],
            ffn=on[..., 1],
            gates=gates,
            overhead=self.overhead(layout),
        )

    def _all_blocks(self, values: Tensor) -> Tensor:
        return torch.cat((values.new_ones(self.start, *values.shape[1:]), values))


def masked_block(
    block: HostBlock,
    x: Float[Tensor, "b n d"],
    normed: Float[Tensor, "b n d"],
    m: Float[Tensor, "b n"],
    head: Float[Tensor, "b h"],
    sublayer: Float[Tensor, "b 2"],
    tap: Tap,
    number: int,
    head_masks_mlp: bool = False,
) -> Float[Tensor, "b n d"]:
    """One block under 0/1 decisions (spec 3.3): x (b, n, D), m (b, n), head (b, h), sublayer (b, 2).

    `normed` is norm1(x), which the deciders have read already. Decisions act with gradient on
    outputs (and with `head_masks_mlp` on the MLP's input) and as a detached boolean mask inside
    attention, which `tap` can see.
    """
    attended = _attend(block.attn, normed, m.detach() > 0, head, tap, number)
    m = m[..., None]
    msa, ffn = sublayer[:, :, None, None].unbind(1)
    x = x + msa * m * block.drop_path1(block.ls1(attended))
    read = block.norm2(x)
    if head_masks_mlp:
        read = read * _channels(head, x)
    return x + ffn * m * block.drop_path2(block.ls2(block.mlp(read)))


def _attend(
    attn: HostAttention, normed: Tensor, on: Tensor, head: Tensor, tap: Tap, number: int
) -> Tensor:
    """Attention among the tokens that are on; one that is off sees itself, so no row is empty."""
    q, k, v = split_heads(attn, normed)
    itself = torch.eye(on.shape[1], dtype=torch.bool, device=on.device)
    pairs = ((on[:, :, None] & on[:, None, :]) | itself)[:, None]
    if tap.need & {Site.SCORES, Site.ATTN}:
        qkv = torch.stack((q, k, v))
        y = attend(tap, number, qkv, attn.scale, bias_of(pairs, qkv))
        y = y.unflatten(2, (attn.num_heads, attn.head_dim)).transpose(1, 2)
    else:
        dropout = attn.attn_drop.p if attn.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=pairs, dropout_p=dropout)
    return join_heads(attn, y * head[:, :, None, None])


def _some_heads(attn: HostAttention, normed: Tensor, used: Tensor) -> Tensor:
    """Attention (1, n, D) with the weights of the used heads only; of none, the projection's bias."""
    d = attn.head_dim
    channels = (used[:, None] * d + torch.arange(d, device=used.device)).flatten()
    if not len(used):
        nothing = normed.new_zeros(1, normed.shape[1], attn.proj.out_features)
        return nothing if attn.proj.bias is None else nothing + attn.proj.bias
    rows = (torch.arange(3, device=used.device)[:, None] * attn.attn_dim + channels).flatten()
    bias = None if attn.qkv.bias is None else attn.qkv.bias[rows]
    qkv = F.linear(normed, attn.qkv.weight[rows], bias).unflatten(2, (3, len(used), d))
    q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
    y = F.scaled_dot_product_attention(attn.q_norm(q), attn.k_norm(k), v)
    return F.linear(y.transpose(1, 2).flatten(2), attn.proj.weight[:, channels], attn.proj.bias)


def _channels(head: Tensor, x: Tensor) -> Tensor:
    """Head values (b, h) -> values (b, 1, D) of the channels that are theirs."""
    return head.repeat_interleave(x.shape[2] // head.shape[1], 1)[:, None]


def _kept(token: Decision, prefix: int, tap: Tap, number: int) -> Tensor:
    """The tokens (b, n) that block `number` keeps, 0 or 1 with gradient, as the tap leaves them."""
    tap(Site.KEEP, number, _with_prefix(token.soft, prefix), "soft")
    return tap(Site.KEEP, number, _with_prefix(token.hard, prefix))


def _with_prefix(patches: Tensor, prefix: int) -> Tensor:
    """Patch values (..., p) -> token values (..., n): the prefix is always on."""
    return torch.cat((patches.new_ones(*patches.shape[:-1], prefix), patches), dim=-1)


def _decision_layer(width: int, decisions: int, bias: float) -> nn.Linear:
    layer = nn.Linear(width, decisions)
    nn.init.zeros_(layer.weight)
    nn.init.constant_(layer.bias, bias)
    return layer


def _decider(sparsifier: AdaViT, position: int) -> Decider:
    return cast(Decider, sparsifier.deciders[position])
