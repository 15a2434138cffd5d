"""Attention with its inside in the open, as fast as the fused kernel on a CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from engine.model.sites import Site
from engine.model.victim import Tap

Edit = Callable[[Tensor], Tensor] | None


def heads_first(qkv: Float[Tensor, "b n c"], heads: int) -> Float[Tensor, "3 b h n d"]:
    """q, k and v of a projection output (b, n, 3d), as one contiguous (3, b, h, n, d / h)."""
    b, n, _ = qkv.shape
    return qkv.reshape(b, n, 3, heads, -1).permute(2, 0, 3, 1, 4).contiguous()


def attend(
    tap: Tap,
    block: int,
    qkv: Float[Tensor, "3 b h n d"],
    scale: float | Tensor,
    bias: Float[Tensor, "w h n n"] | None = None,
) -> Float[Tensor, "b n c"]:
    """A v as (b, n, d): A = softmax(S), S = scale q k^T + bias, with taps on S and A (b, h, n, n).

    The bias (w, h, n, n) is a constant; where w windows of a picture are folded into the batch,
    each has its own.
    """
    if isinstance(scale, Tensor) or tap.reads(Site.SCORES) or tap.reads(Site.ATTN):
        q, k, v = qkv.unbind(0)
        scores = products(q * scale, k.transpose(-2, -1))
        if bias is not None:
            scores = (scores.unflatten(0, (-1, len(bias))) + bias).flatten(0, 1)
        out = read_values(tap, block, scores, v)
    else:
        edits = (tap.backward(site, block) for site in (Site.SCORES, Site.ATTN))
        out: Tensor = _Attention.apply(qkv, scale, bias, *edits)
    return out.transpose(1, 2).flatten(2)


def bias_of(mask: Bool[Tensor, ...], qkv: Float[Tensor, "3 b h n d"]) -> Float[Tensor, "b h n n"]:
    """0 where a query may look and -inf where not, (b, h, n, n), of a boolean mask that broadcasts."""
    _, b, h, n, _ = qkv.shape
    bias = torch.zeros_like(mask, dtype=qkv.dtype).masked_fill(~mask, float("-inf"))
    return bias.expand(b, h, n, n)


def read_values(
    tap: Tap, block: int, scores: Float[Tensor, "b h n m"], v: Float[Tensor, "b h m d"]
) -> Float[Tensor, "b h n d"]:
    """softmax(S) v, with taps on S and the map (b, h, n, m) and v (b, h, m, d / h)."""
    a = tap(Site.SCORES, block, scores).softmax(-1)
    return products(tap(Site.ATTN, block, a), v)


def products(x: Float[Tensor, "b h n d"], y: Float[Tensor, "b h d m"]) -> Float[Tensor, "b h n m"]:
    """x y for each picture and head: (b, h, n, m) of (b, h, n, d) and (b, h, d, m)."""
    return torch.bmm(x.flatten(0, 1), y.flatten(0, 1)).unflatten(0, x.shape[:2])


class _Attention(torch.autograd.Function):
    """softmax(scale q k^T + bias) v, whose gradients pass through edits at the scores and the map.

    dA = g v^T,  dS = A * (dA - sum_m A * dA),  dq = scale dS k,  dk = scale dS^T q,  dv = A^T g.
    By hand and in one buffer: autograd's own graph of it costs 5 % more of an attack step.
    """

    @staticmethod
    def forward(
        ctx: Any, qkv: Tensor, scale: float, bias: Tensor | None, scores: Edit, attn: Edit
    ) -> Tensor:
        _, b, h, n, d = qkv.shape
        q, k, v = qkv.view(3, b * h, n, d).unbind(0)
        s = torch.bmm(q, k.transpose(1, 2)).mul_(scale)
        if bias is not None:
            s.view(-1, *bias.shape).add_(bias)
        a = s.softmax(-1).to(v.dtype)
        ctx.save_for_backward(qkv, a)
        ctx.scale, ctx.edits = scale, (scores, attn)
        return torch.bmm(a, v).view(b, h, n, d)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        qkv, a = ctx.saved_tensors
        scores, attn = ctx.edits
        _, b, h, n, d = qkv.shape
        q, k, v = qkv.view(3, b * h, n, d).unbind(0)
        g = grads[0].reshape(b * h, n, d)
        back = torch.empty_like(qkv)
        dq, dk, dv = back.view(3, b * h, n, d).unbind(0)
        torch.bmm(a.transpose(1, 2), g, out=dv)
        da = torch.bmm(g, v.transpose(1, 2))
        if attn:
            da = attn(da.view(b, h, n, n)).view_as(a)
        ds = torch._softmax_backward_data(da, a, -1, a.dtype)  # pyright: ignore
        if scores:
            ds = scores(ds.view(b, h, n, n)).view_as(a)
        torch.bmm(ds, k, out=dq)
        torch.bmm(ds.transpose(1, 2), q, out=dk)
        back[:2] *= ctx.scale
        return back, None, None, None, None
