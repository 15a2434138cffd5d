"""Sparsified victims as others see them: every site acts, tapping changes nothing, rules fire."""

from __future__ import annotations

from typing import cast

import pytest
import torch
from torch import Tensor

from engine.attack.attack import craft, observe
from engine.attack.recipes.tgr import TGR
from engine.core.streams import Streams
from engine.model.sites import TRANSFORMER, Site
from engine.model.sparse import (
    SparseViT,
    constants,
    cost,
    trained_sparsely,
)
from tests.model.sparse.mechanisms import sparse
from tests.tiny import MODULES, pick, task

PIXELS = task(2).images
OWN = {"ats": Site.SIGNIFICANCE, "avit": Site.HALTING, "adavit": Site.DECISION}
every = pytest.mark.parametrize("kind", OWN)
trained = pytest.mark.parametrize("kind", ["avit", "adavit"])


@every
def test_every_site_is_reached_and_tapping_changes_nothing(kind: str) -> None:
    victim = sparse(kind)
    lasting = {Site.FEATURE} if kind == "adavit" else set[Site]()  # others lose tokens on the way
    assert victim.spec.sites == TRANSFORMER | {Site.KEEP, Site.COST, OWN[kind]} | lasting
    leaf = PIXELS.clone().requires_grad_()
    logits = victim.logits(leaf)
    (g,) = torch.autograd.grad(logits.square().sum(), leaf)
    with victim.session(observe=victim.spec.sites, gradients=TRANSFORMER) as forward:
        tapped_leaf = PIXELS.clone().requires_grad_()
        out = forward(tapped_leaf)
        (tapped,) = torch.autograd.grad(out.logits.square().sum(), tapped_leaf)
    # float64, other kernels: rounding only
    torch.testing.assert_close(out.logits, logits, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(tapped, g, rtol=1e-7, atol=1e-9)
    for site in TRANSFORMER:
        assert {at.block for at in out.seen if at.site is site} == set(range(victim.spec.depth))
    kept = torch.stack(out.values(Site.KEEP))
    assert 0 < float(kept.mean()) < 1


@every
def test_the_cost_of_each_picture_is_that_of_its_trace(kind: str) -> None:
    victim = sparse(kind)
    module = cast(SparseViT, victim.module)
    out = observe(victim, PIXELS, {Site.COST})
    (spent,), (dense,) = (out.values(Site.COST, slot) for slot in ("macs", "dense"))
    trace = module.trace((PIXELS - victim._mean) / victim._std)[1]
    assert spent.tolist() == cost.macs(trace).tolist()
    assert dense.tolist() == [cost.dense_macs(module.layout)] * len(PIXELS)


@every
def test_maps_look_at_kept_tokens_only(kind: str) -> None:
    victim = sparse(kind)
    with torch.no_grad(), victim.session(observe={Site.ATTN, Site.KEEP}) as forward:
        out = forward(PIXELS)
    after = 1 if kind == "ats" else 0  # what ATS drops is gone from the next block on
    maps = dict(enumerate(out.values(Site.ATTN), -after))
    kept = {at.block: x for at, x in out.seen.items() if at.site is Site.KEEP and not at.slot}
    for block in maps.keys() & kept.keys():
        dropped = (kept[block] == 0)[:, None, None].expand_as(maps[block]).clone()
        if kind == "adavit":
            dropped.diagonal(dim1=2, dim2=3).fill_(False)  # one that is off may see itself
        some = (kept[block] == 1).any(1)
        assert dropped[some].any()
        assert float(maps[block][some][dropped[some]].abs().sum()) == 0


@every
def test_tgr_runs_on_it_and_each_picture_is_alone(kind: str) -> None:
    victim, asked = sparse(kind), task(3)
    attack = TGR(eps=8 / 255, steps=2).build(victim.spec)
    together = craft(attack, victim, asked, Streams(0, (0, 1, 2)))
    for row in range(3):
        alone = craft(attack, victim, pick(asked, row), Streams(0, (row,)))
        assert torch.equal(together[row : row + 1], alone)


@trained
def test_a_card_tells_enough_to_build_it_again(kind: str) -> None:
    module = cast(SparseViT, sparse(kind).module)
    again = trained_sparsely(MODULES["vit"](), constants(module.sparsifier)).double().eval()
    again.load_state_dict(module.state_dict())
    x: Tensor = PIXELS
    assert torch.equal(again(x), module(x))
