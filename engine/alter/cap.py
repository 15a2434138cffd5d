"""An upper bound on the tokens of each block: DeSparsify's defence, which holds for any picture."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import cast
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Int64
from torch import Tensor, nn

from engine.alter.alteration import Alteration
from engine.alter.dense import run_by
from engine.core.errors import UnsupportedModel
from engine.core.knobs import knob
from engine.data.decode import fit
from engine.data.samples import pictures
from engine.model.sites import Site
from engine.model.sparse import Bound, SparseViT
from engine.model.sparse.bound import By, whole
from engine.model.victim import Victim


@dataclass(frozen=True)
class Cap(Alteration):
    """No block of a victim that drops tokens has more than so many (`engine.model.sparse.Bound`).

    What is beyond the bound is lost as the mechanism loses tokens: from ATS for good, in A-ViT it
    halts with its remainder put on the output, in AdaViT it is off in this block. Weights are
    shared. `bound` is a share of all tokens, the same in each block; 0 calibrates: in each block
    the mean, or a quantile, of the counts of the clean sample pictures, rounded up.
    """

    name = "cap"
    title = "Token cap"
    paper = (
        "Yehezkel et al., DeSparsify: Adversarial Attack Against Token Sparsification Mechanisms in "
        "Vision Transformers, NeurIPS 2024"
    )

    bound: float = knob(
        0.0,
        "Largest share of all tokens in a block; 0 takes each block's count on clean pictures.",
        low=0,
        high=1,
        main=True,
    )
    quantile: float = knob(
        0.0,
        "Which quantile of the clean counts bounds a block; 0 stands for their mean.",
        low=0,
        high=1,
    )
    by: str = knob(
        "least confident",
        "Which of the tokens beyond the bound go: those the mechanism thinks least of, or any.",
        label="What goes",
        choices=("least confident", "random"),
    )

    def change(self, victim: Victim) -> Victim:
        model = victim.module
        if not isinstance(model, SparseViT):
            raise UnsupportedModel(
                f"{victim.spec.name} drops no tokens, so there is nothing to bound.",
                "Put ats or topk before cap, or choose a model that drops tokens by itself.",
            )
        bound = Bound(self.most(victim, model), cast(By, self.by))
        return run_by(victim, SparseViT(model.backbone, model.sparsifier, bound))

    def most(self, victim: Victim, model: SparseViT) -> tuple[int, ...]:
        """The most tokens of each block, prefix included."""
        layout = model.layout
        if self.bound:
            return (whole(self.bound * layout.tokens),) * layout.depth
        counts = clean_counts(victim, model).double()
        typical = counts.quantile(self.quantile, dim=0) if self.quantile else counts.mean(0)
        return tuple(whole(each) for each in typical.tolist())


_KEPT: WeakKeyDictionary[nn.Module, Tensor] = WeakKeyDictionary()
_KEEPING = threading.Lock()


def clean_counts(victim: Victim, model: SparseViT) -> Int64[Tensor, "pictures l"]:
    """Tokens in each block on all sample pictures that are here; counted once while it is loaded."""
    with _KEEPING:
        kept = _KEPT.get(model)
    if kept is None:
        size = victim.spec.input_size
        kept = torch.stack([_counts(victim, model, fit(each, size)) for each in pictures()])
        with _KEEPING:
            _KEPT[model] = kept
    return kept


def _counts(victim: Victim, model: SparseViT, pixels: Tensor) -> Tensor:
    """Of one 8-bit picture (3, y, x): alone, for in int8 batch-mates share columns."""
    with torch.no_grad(), victim.session(observe={Site.KEEP}) as forward:
        seen = forward(pixels[None].to(victim.device) / 255).seen
    counts = torch.full((model.layout.depth,), model.layout.tokens)
    for at, kept in seen.items():
        if at.site is Site.KEEP and not at.slot:
            counts[at.block] = (kept > 0.5).sum().cpu()
    return counts
