"""The largest values of many layers' columns, with a gradient that goes to their places alone.

A loss on the peaks of every linear layer's input would cost half as much as the model: topk along a
strided axis is slow, autograd goes back through every entry of abs and topk, and 48 layers mean 48
times every small operation. So maxima are taken repeatedly, and where columns stay under a floor,
only of the others, for all layers of a shape together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def largest(inputs: Sequence[Tensor], b: int, top: int, floor: float | None = None) -> list[Tensor]:
    """The `top` largest |x| of each column over each picture's tokens, sorted: (b, top, k) for each.

    Inputs are (b ..., n, k). A column that exceeds `floor` in no picture is given as 0, and has no
    gradient.
    """
    flat = [x if x.ndim == 3 and len(x) == b else x.reshape(b, -1, x.shape[-1]) for x in inputs]
    values: dict[int, Tensor] = {}
    groups: dict[object, list[int]] = {}
    for index, x in enumerate(flat):
        if x.dtype.itemsize < 4:
            values[index] = _with_ties(x, top)
        else:
            groups.setdefault((x.shape, x.dtype) if floor is not None else index, []).append(index)
    for alike in groups.values():
        found: Tensor = _Largest.apply(top, floor, *(flat[index] for index in alike))  # pyright: ignore
        values |= zip(alike, found.unbind(1), strict=True)
    return [values[index] for index in range(len(flat))]


def _with_ties(x: Tensor, top: int) -> Tensor:
    """In 16 bits many values are equal, and which of them have the gradient is topk's to say."""
    size = x.abs()
    return size.amax(1, keepdim=True) if top == 1 else size.topk(min(top, x.shape[1]), 1).values


class _Largest(torch.autograd.Function):
    """Layers (b, n, k) of one shape -> (b, layers, top, k)."""

    @staticmethod
    def forward(ctx: Any, top: int, floor: float | None, *layers: Tensor) -> Tensor:
        _, n, k = layers[0].shape
        layer, column, counts = _searched(layers, floor)
        parts = zip(layers, column.split(counts), strict=True)
        signed = layers[0] if floor is None else torch.cat([x[..., part] for x, part in parts], 2)
        values, places = _taken(signed.abs(), top)
        where = layer * k + column
        ctx.save_for_backward(signed.gather(1, places).sign_(), places * k + column, where)
        ctx.sizes = n, counts
        found = values.new_zeros(*values.shape[:2], len(layers) * k).index_copy_(2, where, values)
        return found.unflatten(2, (-1, k)).transpose(1, 2).contiguous()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        signs, places, where = ctx.saved_tensors
        n, counts = ctx.sizes
        b, k = len(signs), grads[0].shape[-1]
        g = grads[0].transpose(1, 2).flatten(2).index_select(2, where) * signs
        parts = zip(places.split(counts, 2), g.split(counts, 2), strict=True)
        back = (
            g.new_zeros(b, n * k).scatter_(1, place.flatten(1), part.flatten(1)).view(b, n, k)
            for place, part in parts
        )
        return None, None, *back


def _taken(x: Tensor, top: int) -> tuple[Tensor, Tensor]:
    """The largest values of x (b, n, k) >= 0 along n, and their places, each (b, top, k)."""
    rounds: list[tuple[Tensor, Tensor]] = []
    for _ in range(min(top, x.shape[1])):
        rounds.append(x.max(1, keepdim=True))
        x.scatter_(1, rounds[-1][1], -1)
    values, places = (torch.cat(each, 1) for each in zip(*rounds, strict=True))
    return values, places


def _searched(layers: Sequence[Tensor], floor: float | None) -> tuple[Tensor, Tensor, list[int]]:
    """Layer and number of each column that exceeds the floor, and how many each layer has."""
    if floor is None:
        everyone = torch.arange(layers[0].shape[2], device=layers[0].device)
        return torch.zeros_like(everyone), everyone, [len(everyone)]
    high = torch.stack([x.amax((0, 1)) for x in layers])
    low = torch.stack([x.amin((0, 1)) for x in layers])
    found = torch.maximum(high, low.neg_()) > floor
    layer, column = found.nonzero(as_tuple=True)
    return layer, column, found.sum(1).tolist()
