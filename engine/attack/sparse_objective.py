"""DeSparsify's losses, one number per picture, and the count that they are to raise.

Yehezkel et al., NeurIPS 2024 (spec 4.3, 4.4). What a mechanism skips grows with its loss, so each is
returned with the sign turned, because objectives are maximised. Blocks are told apart by number and
never assumed equal in size: the victim may be several models as one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.attack.moment import Moment
from engine.attack.objective import Objective, Weighted
from engine.core.shapes import Logits, PerExample
from engine.model.sites import Address, Site
from engine.model.victim import Forward, Spec

Direction = Literal["uniform", "scores"]
Support = Literal["entering", "all"]
Reading = Literal["soft", "mean", "binary", "margin"]

LEAST = 1e-12
"""Scores below are taken as this, so that a logarithm stays finite."""


@dataclass(frozen=True)
class UniformScores:
    """ATS (eq. 5): mean over sampling blocks of the distance of the scores S from uniform.

    direction "uniform" KL(U || S) = -log n - 1/n sum_j log S_j; "scores" KL(S || U) = log n - H(S).
    support "entering": n patches that enter the block; "all": all of the picture, those that are
    gone with score 0. The paper names neither. `prefix` is the prefix tokens of each block.
    0 where S is uniform, else positive.
    """

    prefix: tuple[int, ...]
    direction: Direction = "uniform"
    support: Support = "entering"
    sites: frozenset[Site] = frozenset({Site.SIGNIFICANCE})
    wants_clean: bool = False

    def __call__(self, out: Forward, at: Moment) -> PerExample:
        del at
        places = [place for place in out.seen if place.site is Site.SIGNIFICANCE]
        apart = [self.apart(out.seen[at][:, self.prefix[at.block] :]) for at in places]
        return -torch.stack(apart).mean(0)

    def apart(self, s: Tensor) -> PerExample:
        """The distance of scores (b, p), 0 where a patch does not enter."""
        counts = s > 0 if self.support == "entering" else torch.ones_like(s, dtype=torch.bool)
        n = counts.sum(1).to(s)
        logs = s.where(counts, 1).clamp_min(LEAST).log()
        if self.direction == "uniform":
            return -n.log() - logs.sum(1) / n
        return n.log() + (s * logs).sum(1)


@dataclass(frozen=True)
class Picks:
    """ATS, this project's: mean over sampling blocks of the share of tokens that min(1, R S) expects.

    Its sum over patches is the number that the sampler picks to within a half, so effort goes where a
    patch is about to be picked, and none where it surely is. 1 is taken off: 0 where all are kept.
    """

    sites: frozenset[Site] = frozenset({Site.SIGNIFICANCE, Site.KEEP})
    wants_clean: bool = False

    def __call__(self, out: Forward, at: Moment) -> PerExample:
        del at
        blocks = [place.block for place in out.seen if place.site is Site.SIGNIFICANCE]
        return (
            torch.stack([seen(out, Site.KEEP, each, "soft").mean(1) for each in blocks]).mean(0) - 1
        )


@dataclass(frozen=True)
class RunOn:
    """A-ViT (eq. 10): 1/p sum_j 1/L sum_(n <= I_j) (c^n_j)^2, c^n = sum_(l <= n) h^l.

    I_j is the last block that runs on patch j. Departure: the printed indicator, 1[I_j < n], says
    the opposite of the text around it, which leaves blocks alone where the token has halted. The
    last block's own h counts, not the 1 it is made. 0 where nothing moves to halt.
    """

    prefix: tuple[int, ...]
    sites: frozenset[Site] = frozenset({Site.HALTING, Site.KEEP})
    wants_clean: bool = False

    def __call__(self, out: Forward, at: Moment) -> PerExample:
        del at
        return -torch.stack([self._sum(out, blocks) for blocks in models(out)]).mean(0)

    def _sum(self, out: Forward, blocks: list[int]) -> PerExample:
        h, runs = halting(out, blocks)
        return (runs * h.cumsum(0).square()).mean(0)[:, self.prefix[blocks[0]] :].mean(1)


@dataclass(frozen=True)
class Running:
    """A-ViT, this project's: mean over blocks 2..L of the share of tokens that go on to them, softly.

    Of a token that runs in block n, sigmoid((1 - c^n) / w), w = 2^-(1 + 4 t / T) at step t of T. What
    goes on surely, and what is hopeless, asks for less and less, so that effort goes to what is about
    to halt. 1 is taken off: 0 where all go on.
    """

    sites: frozenset[Site] = frozenset({Site.HALTING, Site.KEEP})
    wants_clean: bool = False

    def __call__(self, out: Forward, at: Moment) -> PerExample:
        width = 0.5 ** (1 + 4 * at.step / at.steps)
        return torch.stack([self._share(out, each, width) for each in models(out)]).mean(0) - 1

    def _share(self, out: Forward, blocks: list[int], width: float) -> PerExample:
        h, runs = halting(out, blocks)
        on = ((1 - h.cumsum(0)) / width).sigmoid() * runs
        return on[:-1].mean((0, 2))


@dataclass(frozen=True)
class AllOn:
    """AdaViT (eq. 6): mean over deciding blocks of the squared distance of decisions M from 1.

    1/2 sum_(msa, ffn) (M - 1)^2 + 1[msa on] 1/H sum_h (M_h - 1)^2 + 1/P sum_p (M_p - 1)^2
    M is 0 or 1 with the gradient of its sigmoid, which only what is off has; with `soft` the
    sigmoid itself, which goes on pushing what is on away from the threshold. 0 where all is on;
    at most 2.5 (MSA on, all else off).
    """

    soft: bool = False
    sites: frozenset[Site] = frozenset({Site.DECISION})
    wants_clean: bool = False

    def __call__(self, out: Forward, at: Moment) -> PerExample:
        del at
        which = "soft" if self.soft else "hard"
        tokens, heads, sublayers = (
            [(each - 1).square().mean(1) for each in out.values(Site.DECISION, f"{kind}.{which}")]
            for kind in ("tokens", "heads", "sublayers")
        )
        on = [each[:, 0].detach() > 0.5 for each in out.values(Site.DECISION, "sublayers.hard")]
        blocks = zip(tokens, heads, sublayers, on, strict=True)
        return -torch.stack(
            [layer + msa * head + token for token, head, layer, msa in blocks]
        ).mean(0)


@dataclass(frozen=True)
class KeepClass:
    """L_cls (eq. 4): the answer of the same sparsified model to the clean picture is to stay.

    With p = softmax(z) of m classes, and p0 of the clean picture, readings of the one sentence:
    "soft"    -sum_k p0_k log p_k
    "mean"    that / m
    "binary"  1/m sum_k of the cross-entropy of sigmoid(z_k) with sigmoid(z0_k)
    "margin"  max(0, 1 - (z_a - max_(k != a) z_k)), a = argmax z0: this project's. It asks for nothing
              while the answer is safe, and for the answer, not for a doubt between two, where it is not.
    The others are least, though not 0, where p = p0. Of an ensemble whose VOTE is seen, the mean over its members,
    each of which is to keep its own answer.
    """

    reading: Reading = "soft"
    sites: frozenset[Site] = frozenset()
    wants_clean: bool = True

    def __call__(self, out: Forward, at: Moment) -> PerExample:
        assert at.clean is not None  # asked for above
        pairs = zip(_votes(out), _votes(at.clean), strict=True)
        return torch.stack([self._apart(z, z0) for z, z0 in pairs]).mean(0)

    def _apart(self, z: Logits, z0: Logits) -> PerExample:
        if self.reading == "margin":
            answer = z0.argmax(1, keepdim=True)
            best_other = z.scatter(1, answer, -torch.inf).amax(1)
            return (z.gather(1, answer)[:, 0] - best_other - 1).clamp_max(0)
        if self.reading == "binary":
            every = F.binary_cross_entropy_with_logits(z, z0.sigmoid(), reduction="none")
            return -every.mean(1)
        entropy = F.cross_entropy(z, z0.softmax(1), reduction="none")
        return -(entropy if self.reading == "soft" else entropy / z.shape[1])


@dataclass(frozen=True)
class OfClean:
    """An objective as a share of what it is on the clean picture: each starts at -1 and ends at 0.

    So that of several mechanisms none drowns another, whatever the scale of its loss.
    """

    term: Objective
    wants_clean: bool = True

    @property
    def sites(self) -> frozenset[Site]:
        return frozenset(self.term.sites)

    def __call__(self, out: Forward, at: Moment) -> PerExample:
        assert at.clean is not None  # asked for above
        whole = self.term(at.clean, at).detach().abs()
        return self.term(out, at) / whole.clamp_min(LEAST)


@dataclass(frozen=True)
class Macs:
    """Multiply-accumulates of each picture's pass (b,) int64, of all models it went through.

    A cost for `GapClosed`: it sees tokens, and the heads and sub-layers that AdaViT leaves out.
    """

    name: str = "MACs"
    sites: frozenset[Site] = frozenset({Site.COST})

    def __call__(self, out: Forward) -> PerExample:
        return self._sum(out, "macs")

    def dense(self, out: Forward) -> PerExample:
        """What they would be if none were spared."""
        return self._sum(out, "dense")

    def _sum(self, out: Forward, slot: str) -> PerExample:
        return torch.stack(out.values(Site.COST, slot)).sum(0)


def _votes(out: Forward) -> list[Logits]:
    return out.values(Site.VOTE) or [out.logits]


def by_mechanism(losses: Sequence[Objective], spec: Spec) -> Objective:
    """The loss that the victim has the sites of; of several models with different mechanisms, shares.

    Of a victim that has none, one that asks for all, so that it says what it lacks.
    """
    found = [each for each in losses if frozenset(each.sites) <= spec.sites]
    if len(found) == 1:
        return found[0]
    return Weighted(tuple((1.0, OfClean(each)) for each in found or losses))


def seen(out: Forward, site: Site, block: int, slot: str = "") -> Tensor:
    """The site's value in a block."""
    return out.seen[Address(site, block, slot)]


def halting(out: Forward, blocks: list[int]) -> tuple[Tensor, Tensor]:
    """A-ViT's scores h and 1 where a token runs, of one model's blocks, each (l, b, n)."""
    h = torch.stack([seen(out, Site.HALTING, block) for block in blocks])
    kept = [seen(out, Site.KEEP, block).detach() for block in blocks[1:]]
    return h, torch.stack([torch.ones_like(h[0]), *kept])


def models(out: Forward) -> list[list[int]]:
    """Blocks with halting scores, by model: nothing decides about tokens before a model's first."""
    halting = sorted(at.block for at in out.seen if at.site is Site.HALTING)
    decided = {at.block for at in out.seen if at.site is Site.KEEP}
    found: list[list[int]] = []
    for block in halting:
        if block not in decided:
            found.append([])
        found[-1].append(block)
    return found
