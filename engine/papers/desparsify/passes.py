"""What a picture makes a sparsified model do: tokens, heads and sub-layers in use, MACs, answer."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool
from torch import Tensor

from engine.attack.attack import Watch, observe
from engine.core.errors import UnsupportedModel
from engine.evaluate.judge import shown
from engine.model.sites import Address, Site
from engine.model.sparse import Decisions, SparseViT, cost, layout_of
from engine.model.victim import Forward, Victim

DENSE = "Dense"
AT_ONCE = 16
"""Pictures in one pass: what a small machine can hold."""


@dataclass(frozen=True)
class Pass:
    """One picture's pass; l blocks, n tokens in original positions (prefix first), h heads.

    keep         (l, n) bool: the token is used in this block; in AdaViT none is where both sub-layers
                 are off
    utilisation  mean of `keep` over the blocks that decide (`cost.utilisation`)
    heads        (l, h) bool, sublayers (l, 2) bool (MSA, FFN): what AdaViT has on; None elsewhere
    """

    keep: Bool[Tensor, "l n"]
    macs: int
    utilisation: float
    answer: int
    probability: float
    heads: Bool[Tensor, "l h"] | None = None
    sublayers: Bool[Tensor, "l 2"] | None = None

    @property
    def tokens(self) -> Tensor:
        """Tokens used by each block (l,)."""
        return self.keep.sum(1)

    @property
    def depth(self) -> Tensor:
        """Blocks that use each token (n,): of A-ViT the block in which it halts."""
        return self.keep.sum(0)

    def woken(self, clean: Pass) -> Tensor:
        """Tokens in use here that sleep in another pass (l, n); the other way round, those put to sleep."""
        return self.keep & ~clean.keep


def wanted(victim: Victim) -> SparseViT:
    """The victim's own sparsified ViT, or UnsupportedModel where nothing is put to sleep."""
    found = SparseViT.within(victim.module)
    if found is None:
        raise UnsupportedModel(
            f"{victim.spec.full} computes all of its tokens.",
            "Alter a plain ViT or DeiT by ATS, or choose an A-ViT or AdaViT.",
        )
    return found


def mechanism(victim: Victim) -> str:
    """What puts its tokens to sleep: "ATS", "A-ViT", "AdaViT"; "Dense" where nothing does."""
    found = SparseViT.within(victim.module)
    return DENSE if found is None else found.sparsifier.title


def watch(victim: Victim) -> Watch:
    """What must be seen of a pass to read it."""
    return Watch(values=frozenset({Site.KEEP, Site.DECISION, Site.COST}) & victim.spec.sites)


def dense_macs(victim: Victim) -> int:
    """MACs of a pass in which nothing is put to sleep; raises UnsupportedModel for what is no ViT."""
    found = SparseViT.within(victim.module)
    return cost.dense_macs(layout_of(victim.module) if found is None else found.layout)


def look(victim: Victim, pixels: Tensor) -> list[Pass]:
    """Show a model 8-bit pictures (n, 3, y, x), some at a time: none depends on its batch-mates."""
    some = (observe(victim, shown(x, victim), watch(victim).values) for x in pixels.split(AT_ONCE))
    return [each for out in some for each in passes(victim, out)]


def passes(victim: Victim, out: Forward) -> list[Pass]:
    """What each picture of a pass did, from the sites that `watch` names; of a dense model, all."""
    found = SparseViT.within(victim.module)
    layout = layout_of(victim.module) if found is None else found.layout
    keep = torch.ones(len(out.logits), layout.depth, layout.tokens, dtype=torch.bool)
    deciding = sorted(at.block for at in out.seen if at.site is Site.KEEP and not at.slot)
    for block in deciding:
        keep[:, block] = (out.seen[Address(Site.KEEP, block)].detach() > 0.5).cpu()
    heads, sublayers = (_decided(out, kind, layout.depth) for kind in ("heads", "sublayers"))
    if sublayers is not None:
        keep &= sublayers.any(2, keepdim=True)
    spent = out.values(Site.COST, "macs") or [torch.full((len(keep),), cost.dense_macs(layout))]
    probabilities = out.logits.detach().softmax(1).cpu()
    return [
        Pass(
            keep=used,
            macs=int(spent[0][i]),
            utilisation=float(used[deciding or slice(None)].float().mean()),
            answer=int(probabilities[i].argmax()),
            probability=float(probabilities[i].max()),
            heads=None if heads is None else heads[i],
            sublayers=None if sublayers is None else sublayers[i],
        )
        for i, used in enumerate(keep)
    ]


def batch_macs(victim: Victim, pixels: Tensor) -> int:
    """MACs a picture of a batch of these (n, 3, y, x), padded to what its largest member needs.

    A block runs on as many tokens as any of them uses there, in all heads and sub-layers that any
    of them has on.
    """
    found = wanted(victim)
    with torch.no_grad(), victim.session():
        trace = found.trace(victim.normalised(shown(pixels, victim)))[1]
    on = trace.msa | trace.ffn

    def most(each: Tensor) -> Tensor:
        """What the largest member needs, for all members (l, b)."""
        return each.amax(1, keepdim=True).expand_as(on)

    heads = most(trace.heads)
    if isinstance(trace.gates, Decisions):
        union = (trace.gates.hard.heads > 0).any(1).sum(1, keepdim=True).expand(-1, on.shape[1])
        heads = heads.index_copy(0, torch.tensor(trace.sparse, device=heads.device), union)
    together = replace(
        trace,
        n_in=most(trace.n_in * on),
        n_out=most(trace.n_out * on),
        heads=heads,
        msa=most(trace.msa),
        ffn=most(trace.ffn),
    )
    return int(cost.macs(together)[0])


def _decided(out: Forward, kind: str, depth: int) -> Tensor | None:
    """AdaViT's 0/1 decisions of that kind (b, l, ...); blocks that decide nothing have all on."""
    on = {
        at.block: (x.detach() > 0).cpu() for at, x in out.seen.items() if at.slot == f"{kind}.hard"
    }
    if not on:
        return None
    full = torch.ones_like(next(iter(on.values())))
    return torch.stack([on.get(block, full) for block in range(depth)], 1)
