"""Which tokens a sparsified victim keeps, and what it pays for them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.alter.ats import TokenSampling
from engine.model.sites import Site
from engine.model.sparse import SparseViT
from engine.model.victim import BlockShape, Forward, Victim
from engine.probe.probe import Lacks, Probe, Seen, Table

SITES = frozenset({Site.KEEP})


@dataclass(frozen=True)
class TokenMasks:
    """Kept tokens of one picture: keep (l, n) bool in original positions, prefix tokens first.

    utilisation = mean over the sparsified blocks of kept / all tokens (spec DeSparsify 4.7);
    `pruner` is the mechanism that chose them.
    """

    keep: Tensor
    blocks: tuple[int, ...]
    shape: BlockShape
    pruner: str = ""

    @property
    def kept(self) -> Tensor:
        """Tokens kept per sparsified block (l,)."""
        return self.keep.sum(1)

    @property
    def utilisation(self) -> float:
        return float(self.keep.float().mean())


def read(out: Forward, shape: BlockShape, index: int = 0, pruner: str = "") -> TokenMasks:
    """The masks of image `index` of a pass that recorded KEEP."""
    places = sorted(at for at in out.seen if at.site is Site.KEEP and not at.slot)
    keep = torch.stack([out.seen[at][index].detach() > 0.5 for at in places]).cpu()
    return TokenMasks(keep, tuple(at.block for at in places), shape, pruner)


def sparse(victim: Victim) -> Victim:
    """The victim if it loses tokens by itself, else train-free ATS on it; raises UnsupportedModel."""
    return victim if Site.KEEP in victim.spec.sites else TokenSampling()(victim)


def _read(seen: Seen) -> TokenMasks:
    found = SparseViT.within(seen.victim.module)
    assert found is not None  # `on` makes every victim lose tokens
    return read(seen.out, seen.victim.spec.blocks[0], seen.picture, found.sparsifier.title)


PROBE = Probe(
    "tokens",
    "Tokens the model keeps; of a dense one, those that train-free ATS would keep",
    _read,
    lambda masks: {"tokens_kept": masks.kept.tolist(), "token_utilisation": masks.utilisation},
    Table(
        "Tokens kept, by block",
        "tokens kept",
        lambda masks: {"": masks.kept.tolist()},
        places=lambda masks: [block + 1 for block in masks.blocks],
    ),
    Lacks(
        "cannot drop tokens: token pruning by ATS needs a plain ViT or DeiT",
        "it has no tokens to drop",
        "its windows cannot lose tokens",
    ),
    SITES,
    on=sparse,
    families=frozenset({"vit", "deit", "vision_transformer"}),
    models="plain ViT and DeiT",
)
