"""A timm ViT whose blocks are run by a sparsifier."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from engine.core.errors import EngineError
from engine.core.shapes import Images, Logits
from engine.model.sites import TRANSFORMER, Site
from engine.model.sparse import host
from engine.model.sparse.bound import Bound
from engine.model.sparse.host import HostBlock
from engine.model.sparse.trace import Layout, Trace
from engine.model.victim import Tap

NOBODY = Tap((), (), ())
"""Sees and edits nothing."""


def keep(
    tap: Tap, block: int, kept: Bool[Tensor, "b n"], soft: Float[Tensor, "b n"]
) -> Bool[Tensor, "b n"]:
    """The tokens (b, n) bool that a block keeps, as the tap leaves them; `soft` gives the gradient."""
    soft = tap(Site.KEEP, block, soft, "soft")
    return tap(Site.KEEP, block, kept + (soft - soft.detach())) > 0.5


class Sparsifier(nn.Module, ABC):
    """Runs blocks over tokens and says what it skipped.

    Its parameters and constants are its own; those of the blocks stay with the host.
    """

    title: ClassVar[str]
    """Its name, where a page speaks of it."""
    sites: ClassVar[frozenset[Site]]
    """What can be seen and edited on a victim run by it."""

    @abstractmethod
    def check(self, layout: Layout) -> None:
        """Raise an `EngineError` if this sparsifier does not fit a host of that layout."""

    @abstractmethod
    def run(
        self,
        blocks: Sequence[HostBlock],
        x: Tensor,
        layout: Layout,
        generator: torch.Generator | None,
        tap: Tap,
    ) -> tuple[Tensor, Trace]:
        """Tokens (b, n, D) -> tokens whose first rows are the prefix (b, >=k, D), and the trace.

        Masked execution where the mechanism masks: differentiable, and equal for one image alone
        and the same image in any batch. Shows the tap what hooks on the host's layers cannot see,
        its own decisions above all, and goes by what the tap makes of them.
        """

    @abstractmethod
    def compact(self, blocks: Sequence[HostBlock], x: Tensor, layout: Layout, tap: Tap) -> Tensor:
        """As `run` for one image (1, n, D), with skipped work really skipped; the tap sees KEEP."""


class SparseViT(nn.Module):
    """An unmodified timm ViT run by a sparsifier: embed -> blocks -> norm -> head.

    Weights of the ViT keep their names under `backbone.`, deciders and constants live under
    `sparsifier.`. Input is the normalised image (b, 3, y, x). A `bound` holds whatever the
    sparsifier decides. Raises `UnsupportedModel` for hosts that cannot lose tokens (see
    `host.layout_of`).
    """

    def __init__(
        self, backbone: VisionTransformer, sparsifier: Sparsifier, bound: Bound | None = None
    ) -> None:
        super().__init__()
        self.layout = host.layout_of(backbone)
        sparsifier.check(self.layout)
        self.backbone = backbone
        self.sparsifier = sparsifier
        self.bound = bound

    @staticmethod
    def within(module: nn.Module) -> SparseViT | None:
        """The sparsified ViT that a module is or holds; None of a dense one."""
        return next((each for each in module.modules() if isinstance(each, SparseViT)), None)

    def forward(self, x: Images) -> Logits:
        """Logits (b, classes), decisions without noise."""
        return self.trace(x)[0]

    def trace(
        self, x: Images, *, generator: torch.Generator | None = None, tap: Tap | None = None
    ) -> tuple[Logits, Trace]:
        """Logits and the trace, both with graph.

        A generator asks for the sampled decisions of training (AdaViT's Gumbel noise and its
        temperature); without one every mechanism is deterministic, in train and in eval mode.
        ATS and A-ViT draw nothing and ignore it.
        """
        tokens = host.embed(self.backbone, x)
        blocks = host.blocks_of(self.backbone)
        tap = self._held(x, tap or NOBODY)
        tokens, trace = self.sparsifier.run(blocks, tokens, self.layout, generator, tap)
        return host.classify(self.backbone, tokens), trace

    def compact(self, x: Images) -> Logits:
        """Logits of one image (1, 3, y, x), the work that the trace says is skipped really skipped.

        Equal to `forward` up to rounding; its counted FLOPs are exactly twice `cost.macs` of the
        trace. For timing and accounting: parts of weights are used, so hooks may not fire.
        """
        if x.shape[0] != 1:
            raise EngineError(
                f"The compacted path takes one image, not {x.shape[0]}.",
                "Use forward or trace for a batch.",
            )
        tokens = host.embed(self.backbone, x)
        blocks = host.blocks_of(self.backbone)
        tokens = self.sparsifier.compact(blocks, tokens, self.layout, self._held(x, NOBODY))
        return host.classify(self.backbone, tokens)

    def _held(self, x: Images, tap: Tap) -> Tap:
        return self.bound.held(tap, x, self.layout.prefix) if self.bound else tap


class Dense(Sparsifier):
    """Keeps everything: the host itself, with a trace; the upper bound of every cost."""

    title = "Dense"
    sites = TRANSFORMER | {Site.FEATURE}

    def check(self, layout: Layout) -> None:
        """Fits every host."""

    def run(
        self,
        blocks: Sequence[HostBlock],
        x: Tensor,
        layout: Layout,
        generator: torch.Generator | None,
        tap: Tap,
    ) -> tuple[Tensor, Trace]:
        everywhere = x.new_ones(layout.depth, *x.shape[:2], dtype=torch.bool)
        count = everywhere.sum(2)
        for number, block in enumerate(blocks):
            x = tap(Site.BLOCK_OUT, number, block(x))
        trace = Trace(
            layout=layout,
            sparse=(),
            keep=everywhere,
            soft=everywhere.to(x.dtype),
            n_in=count,
            n_out=count,
            heads=torch.full_like(count, layout.heads),
            msa=torch.ones_like(count, dtype=torch.bool),
            ffn=torch.ones_like(count, dtype=torch.bool),
        )
        return x, trace

    def compact(self, blocks: Sequence[HostBlock], x: Tensor, layout: Layout, tap: Tap) -> Tensor:
        return self.run(blocks, x, layout, None, tap)[0]
