"""Where a softmax could hide a gradient: leads of scores against precisions, and gradients by block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.core.errors import UnsupportedModel
from engine.core.shapes import Images, Labels
from engine.model.sites import Address, Site
from engine.model.victim import Forward, Victim
from engine.probe.scores import PAST, leads

EDGES = torch.cat((torch.zeros(1), torch.logspace(-2, 4, 49)))
"""Bins of leads: from 0 to 0.01, then eight a decade; the last holds all that is beyond."""


@dataclass(frozen=True)
class Gaps:
    """Leads z_(1) - z_(2) of every row of the scores, by block and head (spec AAS 3.3, 3.4).

    counts (l, h, bins) rows between neighbours of EDGES; past, by the name of a threshold, the share
    of rows (l, h) beyond it; largest (l, h). Where blocks differ in heads, a missing one counts 0
    and is nan.
    """

    counts: Tensor
    past: Mapping[str, Tensor]
    largest: Tensor


@dataclass(frozen=True)
class Gradients:
    """The gradient of the cross-entropy of one picture, flat and in double: at the scores of each
    block, and last at the pixels; with the answer's probabilities (k,)."""

    at: tuple[Tensor, ...]
    probabilities: Tensor

    @property
    def norms(self) -> Tensor:
        """(l + 1,)."""
        return torch.stack([torch.linalg.vector_norm(g) for g in self.at])

    def cosine(self, other: Gradients) -> Tensor:
        """With another model's gradient, place by place (l + 1,); nan where one is all zero."""
        return torch.stack([cosine(*pair) for pair in zip(self.at, other.at, strict=True)])


def cosine(one: Tensor, other: Tensor) -> Tensor:
    """nan where one of them is all zero; each is divided by its own largest entry first."""
    pair = [g / g.abs().max() for g in (one, other)]
    return (pair[0] @ pair[1]) / (pair[0].norm() * pair[1].norm())


def wanted(victim: Victim) -> None:
    """Raises UnsupportedModel for a model whose scores are not in the open."""
    if Site.SCORES not in victim.spec.sites or any(each.window for each in victim.spec.blocks):
        raise UnsupportedModel(
            f"{victim.spec.name} does not show its pre-softmax scores picture by picture.",
            "Choose a ViT, DeiT, PiT, CaiT or Visformer.",
        )


def gaps(out: Forward, index: int = 0) -> Gaps:
    """Of image `index` of a pass that recorded SCORES."""
    found = [leads(value[index].float()).cpu() for value in out.values(Site.SCORES)]
    inner = EDGES[1:-1].contiguous()
    bins = [F.one_hot(torch.bucketize(each, inner, right=True), len(EDGES) - 1) for each in found]
    return Gaps(
        _level([each.sum(1) for each in bins], 0),
        {
            name: _level([(each >= least).double().mean(1) for each in found], torch.nan)
            for name, least in PAST.items()
        },
        _level([each.amax(1).double() for each in found], torch.nan),
    )


def gradients(victim: Victim, x: Images, label: Labels) -> Gradients:
    """Of one picture (1, 3, y, x); a block that the loss does not reach has an all-zero gradient."""
    with (
        torch.enable_grad(),
        victim.session(observe={Site.SCORES}, gradients={Site.SCORES}) as forward,
    ):
        leaf = x.detach().requires_grad_()
        out = forward(leaf)
        loss = F.cross_entropy(out.logits, label)
        (g,) = torch.autograd.grad(loss, leaf)
    places = sorted(at for at in out.seen if at.site is Site.SCORES and not at.slot)
    return Gradients(
        tuple(each.flatten().double().cpu() for each in (*(_one(out, at) for at in places), g[0])),
        out.logits.detach()[0].double().softmax(0).cpu(),
    )


def _one(out: Forward, at: Address) -> Tensor:
    found = out.grads.get(at)
    return torch.zeros_like(out.seen[at][0]) if found is None else found[0]


def _level(rows: Sequence[Tensor], blank: float) -> Tensor:
    """One tensor of rows whose first sizes differ."""
    most = max(len(each) for each in rows)
    missing = [each.new_full((most - len(each), *each.shape[1:]), blank) for each in rows]
    return torch.stack([torch.cat(pair) for pair in zip(rows, missing, strict=True)])
