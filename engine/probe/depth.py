"""Where in depth a clean and an attacked picture part."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.model.sites import Site
from engine.model.victim import Forward, Victim
from engine.probe.probe import Lacks, Probe, Table

SITES = frozenset({Site.BLOCK_OUT})


@dataclass(frozen=True)
class Depth:
    """Distance between two pictures' residual streams, per block and per token, and what is read off.

    cosine[l] = mean over tokens of 1 - cos(a, b); relative[l] = |a - b| / |a| over the block;
    tokens[l] (n,) = 1 - cos(a, b) per token; `lens` (l, k) class probabilities read off each block
    by the model's own final norm and head (a logit lens), None where the family has no such reading.
    """

    cosine: Tensor
    relative: Tensor
    tokens: tuple[Tensor, ...]
    lens: Tensor | None


def read(out: Forward, victim: Victim, clean: Forward, index: int = 0) -> Depth:
    """How far image `index` of a pass is from the first one of `clean`; both recorded BLOCK_OUT."""
    tokens: list[Tensor] = []
    relative: list[Tensor] = []
    for a, b in zip(_stream(clean, 0), _stream(out, index), strict=True):
        tokens.append(1 - F.cosine_similarity(a, b, dim=-1))
        relative.append((a - b).norm() / a.norm().clamp_min(1e-12))
    cosine = torch.stack([each.mean() for each in tokens])
    return Depth(cosine, torch.stack(relative), tuple(tokens), _lens(out, victim, index))


def _stream(out: Forward, index: int) -> list[Tensor]:
    """The stream after every block, tokens by width (n, d)."""
    return [value[index].detach().flatten(0, -2).cpu() for value in out.values(Site.BLOCK_OUT)]


def _lens(out: Forward, victim: Victim, index: int) -> Tensor | None:
    values = [value[index : index + 1].detach() for value in out.values(Site.BLOCK_OUT)]
    if len({value.shape for value in values}) > 1:
        return None
    with torch.no_grad():
        logits = victim.lens(torch.cat(values))
    return None if logits is None else logits.softmax(-1).cpu()


PROBE = Probe(
    "depth",
    "Where in depth clean and attacked part",
    lambda seen: read(seen.out, seen.victim, seen.clean, seen.picture),
    lambda found: {"divergence_cosine": found.cosine.tolist()},
    Table(
        "Distance from clean, by block",
        "1 - cosine to the clean picture",
        lambda found: {"": found.cosine.tolist()},
        clean=False,
    ),
    Lacks(
        "has no residual stream that can be compared block by block here",
        "its blocks cannot be compared here",
        "its blocks cannot be compared here",
    ),
    SITES,
    compared=SITES,
    windows=True,
)
