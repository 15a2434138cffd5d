"""A model whose products q k^T are multiplied by factors, block by block, head by head, picture by picture."""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from engine.core.errors import BadTask, UnsupportedModel
from engine.model.victim import BlockShape, Victim


class Gain(nn.Module):
    """Multiplies what belongs to q k^T (rows, h, ...) by the factor of the picture and head it is of.

    `factors` (p, h) are of p pictures, with p = 1 of any; h = 1 is for all heads. The rows of a batch
    are copies of all p pictures, one after the other, and of each picture `windows` side by side.
    """

    factors: Tensor

    def __init__(self, factors: Float[Tensor, "p h"], windows: int) -> None:
        super().__init__()
        self.windows = windows
        self.register_buffer("factors", factors, persistent=False)

    def of(self, rows: int) -> Float[Tensor, "r h 1 1"]:
        """The factors of so many rows; raises BadTask where those are no copies of all pictures."""
        factors = self.factors
        if len(factors) > 1:
            copies, left = divmod(rows, len(factors) * self.windows)
            if left:
                raise BadTask(
                    f"{rows} rows are no copies of the {len(factors)} pictures that this model is "
                    "fitted to.",
                    "Ask the victim for some of its pictures by `of`.",
                )
            factors = factors.repeat_interleave(self.windows, 0).repeat(copies, 1)
        return factors[..., None, None]

    def forward(self, q: Tensor) -> Tensor:
        return (q * self.of(len(q))).to(q.dtype)


@dataclass(frozen=True)
class Gains:
    """Those of all blocks of a victim, in block order."""

    blocks: Sequence[Gain]

    def set(self, factors: Tensor) -> None:
        """From now on these, (p, l) or (p, l, h); a block with fewer heads reads the first ones."""
        for block, gain in enumerate(self.blocks):
            gain.factors = _of_block(factors, block, gain.factors.shape[1])


def everywhere(victim: Victim, factor: float) -> Victim:
    """The victim with its products q k^T times one factor in all blocks; raises UnsupportedModel."""
    factors = torch.full((1, victim.spec.depth), factor, dtype=victim.dtype)
    return multiplied(victim, factors)[0]


def multiplied(victim: Victim, factors: Tensor) -> tuple[Victim, Gains]:
    """The victim with its products q k^T times factors (p, l) or (p, l, h), and where they stand.

    They act before any bias, mask or mix of heads, and after a normalisation of queries. Weights are
    shared, fused attention stays fused where it can. Raises UnsupportedModel for a model without an
    attention that is known.
    """
    find = victim.family.attentions
    if find is None:
        raise UnsupportedModel(
            f"{victim.spec.name} has no attention whose scores could be scaled.",
            "Choose a ViT, DeiT, PiT, CaiT, Visformer, Swin or BEiT.",
        )
    with victim.lock:
        kept = (*victim.module.parameters(), *victim.module.buffers())
        module = copy.deepcopy(victim.module, {id(each): each for each in kept})
    gains = [
        _put(
            attention,
            Gain(_of_block(factors, block, shape.heads).to(victim.device), _windows(shape)),
        )
        for block, (attention, shape) in enumerate(
            zip(find(module), victim.spec.blocks, strict=True)
        )
    ]
    return replace(victim, module=module, lock=threading.RLock()), Gains(gains)


def _of_block(factors: Tensor, block: int, heads: int) -> Float[Tensor, "p h"]:
    own = factors[:, block]
    return own[:, None] if own.ndim == 1 else own[:, :heads]


def _windows(shape: BlockShape) -> int:
    """How many windows a picture falls into."""
    if shape.window is None:
        return 1
    (rows, columns), (high, wide) = shape.grid, shape.window
    return -(-rows // high) * -(-columns // wide)


def _put(attention: Any, gain: Gain) -> Gain:
    """Into an attention module of timm's: on its normalised queries, or else into its scale."""
    if hasattr(attention, "q_norm"):
        attention.q_norm = nn.Sequential(attention.q_norm, gain)
        return gain
    attention.gains = nn.ModuleList([*getattr(attention, "gains", ()), gain])
    attention.fused_attn = False  # timm's fused kernels take no scale
    if len(attention.gains) == 1:
        attention.unscaled = attention.scale
        attention.register_forward_pre_hook(_rescale)
    return gain


def _rescale(attention: Any, inputs: tuple[Tensor, ...]) -> None:
    attention.scale = attention.unscaled
    for gain in attention.gains:
        attention.scale = attention.scale * gain.of(len(inputs[0]))
