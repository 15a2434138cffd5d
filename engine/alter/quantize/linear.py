"""A linear layer whose product really runs in int8, with a straight-through gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias, cast

import torch
from torch import Tensor, nn

from engine.alter.quantize.arithmetic import int_product, quantise_weight
from engine.alter.quantize.schemes import Scheme


class Work(NamedTuple):
    """What one pass made a layer do: x (m, k) times W (n, k), `columns` (o,) outside int8."""

    m: int
    k: int
    n: int
    columns: Tensor


Linear: TypeAlias = "nn.Linear | nn.Conv2d | Int8Linear"
"""A layer that is linear in the channels of one place; a 1x1 convolution is one, too."""


def sizes(layer: Linear) -> tuple[int, int]:
    """Inputs k and outputs n."""
    if isinstance(layer, nn.Conv2d):
        return layer.in_channels, layer.out_channels
    return layer.in_features, layer.out_features


def places(x: Tensor) -> Tensor:
    """A feature map (b, c, y, x) as the rows of a linear layer (b, y x, c)."""
    return x.flatten(2).transpose(1, 2)


class Int8Linear(nn.Module):
    """y = x W^T + bias by an int8 product and, for columns O that the scheme leaves out, a float one.

    y = (q W8^T) * step_x * step_w + x[:, O] dequant(W8[:, O])^T + bias    (spec A1)

    x (..., k) of any float type; the float product runs in that type. As in bitsandbytes 0.50 the
    int8 product spans all k columns (zeros in O) and the weights in O come from W8, because the
    float weight no longer exists. `compact` drops O from the int8 product instead, as the paper
    idealises: less work, the same numbers. Gradient, as in bitsandbytes: dx = dy dequant(W8).
    Departure: steps are exact, where bitsandbytes' constant 6.200124e-05 for 1 / 127^2 is 1.8e-5 high.
    """

    weight: Tensor
    step: Tensor
    bias: Tensor | None

    def __init__(
        self, linear: nn.Linear | nn.Conv2d, scheme: Scheme, *, compact: bool = False
    ) -> None:
        super().__init__()
        self.in_features, self.out_features = sizes(linear)
        self.scheme = scheme
        self.compact = compact
        weight, step = quantise_weight(linear.weight.flatten(1))
        self.register_buffer("weight", weight)
        self.register_buffer("step", step)
        bias = cast("Tensor | None", linear.bias)
        self.register_buffer("bias", None if bias is None else bias.detach().float().clone())
        self.report: Callable[[Work], None] | None = None

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled() and x.requires_grad:
            return StraightThrough.apply(x, self)  # pyright: ignore[reportReturnType]
        return self.product(x)

    def product(self, x: Tensor) -> Tensor:
        """The layer's value, without graph."""
        flat = x.reshape(-1, self.in_features)
        rows = self.scheme(flat)
        y = self._integer(rows.q, rows.columns).float().mul_(rows.step)
        if self.bias is None:
            y.mul_(self.step)
        else:
            torch.addcmul(self.bias, y, self.step, out=y)
        y = y.to(x.dtype)
        if len(rows.columns):
            y.addmm_(rows.side, self.dequantised(rows.columns, x.dtype).t())
        if self.report is not None:
            self.report(Work(len(flat), self.in_features, self.out_features, rows.columns))
        return y.view(*x.shape[:-1], self.out_features)

    def _integer(self, q: Tensor, columns: Tensor) -> Tensor:
        if not (self.compact and len(columns)):
            return int_product(q, self.weight)
        rest = torch.ones(self.in_features, dtype=torch.bool, device=q.device)
        kept = rest.index_fill_(0, columns, False).nonzero()[:, 0]
        return int_product(q.index_select(1, kept), self.weight.index_select(1, kept))

    def dequantised(self, columns: Tensor | slice, dtype: torch.dtype) -> Tensor:
        """The weight columns that the int8 numbers stand for (n, o)."""
        return (self.weight[:, columns] * self.step[:, None]).to(dtype)


class Int8Pointwise(Int8Linear):
    """A 1x1 convolution as the linear layer that it is, at every place of a map (b, k, y, x)."""

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(places(x))
        return y.transpose(1, 2).reshape(len(x), self.out_features, *x.shape[2:])


MAPPED = (nn.Conv2d, Int8Pointwise)
"""Layers whose input is a map, channels before places."""


class StraightThrough(torch.autograd.Function):
    """Rounding passes gradients unchanged: dx = dy dequant(W8), over all columns."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: Int8Linear) -> Tensor:
        ctx.layer = layer
        return layer.product(x)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        layer: Int8Linear = ctx.layer
        return g @ layer.dequantised(slice(None), g.dtype), None
