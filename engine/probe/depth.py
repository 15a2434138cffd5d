"""Where in depth a clean and an attacked picture part."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.model.sites import Site
from engine.model.victim import Forward, Victim

SITES = frozenset({Site.BLOCK_OUT})


@dataclass(frozen=True)
class Stream:
    """The residual stream of one picture after every block, and its reading by the final head.

    `blocks[l]` (n, d); `lens` (l, k) class probabilities read off each block by the model's own
    final norm and head (a logit lens), None where the family has no such reading.
    """

    blocks: tuple[Tensor, ...]
    lens: Tensor | None


@dataclass(frozen=True)
class Divergence:
    """Distance between two pictures' streams: per block, and per token of each block.

    cosine[l] = mean over tokens of 1 - cos(a, b); relative[l] = |a - b| / |a| over the block;
    tokens[l] (n,) = 1 - cos(a, b) per token.
    """

    cosine: Tensor
    relative: Tensor
    tokens: tuple[Tensor, ...]


def read(out: Forward, victim: Victim, index: int = 0) -> Stream:
    """The stream of image `index` of a pass that recorded BLOCK_OUT."""
    values = [value[index : index + 1].detach() for value in out.values(Site.BLOCK_OUT)]
    blocks = tuple(value[0].flatten(0, -2).cpu() for value in values)
    same = len({value.shape for value in values}) == 1
    with torch.no_grad():
        logits = victim.lens(torch.cat(values)) if same else None
    return Stream(blocks, None if logits is None else logits.softmax(-1).cpu())


def diverge(clean: Stream, other: Stream) -> Divergence:
    """How far `other` is from `clean`, block by block."""
    tokens = tuple(
        1 - F.cosine_similarity(a, b, dim=-1)
        for a, b in zip(clean.blocks, other.blocks, strict=True)
    )
    relative = [
        (a - b).norm() / a.norm().clamp_min(1e-12)
        for a, b in zip(clean.blocks, other.blocks, strict=True)
    ]
    return Divergence(torch.stack([t.mean() for t in tokens]), torch.stack(relative), tokens)
