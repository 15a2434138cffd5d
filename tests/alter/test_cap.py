"""A cap is calibrated on clean pictures, bounds what any picture costs, and its attacker may know it."""

from __future__ import annotations

from typing import cast

import pytest
import torch

from engine.alter.ats import TokenSampling
from engine.alter.cap import Cap, clean_counts
from engine.alter.quantize.int8 import Int8
from engine.alter.stack import altered
from engine.attack.attack import craft
from engine.attack.recipes.desparsify import DeSparsify
from engine.core.errors import UnsupportedModel
from engine.core.streams import Streams
from engine.data.samples import samples
from engine.model.sites import Site
from engine.model.sparse import SparseViT, ceiling
from engine.model.victim import Victim
from tests.model.sparse.mechanisms import KINDS, sparse
from tests.tiny import pick, task, victim

every = pytest.mark.parametrize("kind", KINDS)
ASKED = task(3)


def module(of: Victim) -> SparseViT:
    return cast(SparseViT, of.module)


def macs(of: Victim, pixels: torch.Tensor) -> torch.Tensor:
    with torch.no_grad(), of.session(observe={Site.COST}) as forward:
        return forward(pixels).values(Site.COST, "macs")[0]


@every
def test_a_calibrated_cap_is_the_clean_mean_rounded_up_or_a_quantile(kind: str) -> None:
    free = sparse(kind)
    counts = clean_counts(free, module(free))
    assert len(counts) == sum(each.path.is_file() for each in samples())
    assert counts.unique(dim=0).shape[0] > 1  # pictures differ
    typical = {0.0: counts.double().mean(0), 1.0: counts.amax(0).double()}
    typical[0.5] = counts.double().quantile(0.5, dim=0)
    for quantile, wanted in typical.items():
        bound = module(free | Cap(quantile=quantile)).bound
        assert bound is not None
        assert bound.most == tuple(wanted.ceil().int().tolist())


@every
def test_a_share_is_the_same_in_each_block_and_bounds_what_any_picture_costs(kind: str) -> None:
    free = sparse(kind)
    held = free | Cap(0.5)
    assert held.spec.full == f"{kind}|cap:bound=0.5"
    assert module(held).bound == module(free | Cap(0.5)).bound
    bound = module(held).bound
    assert bound is not None
    assert bound.most == (9, 9, 9)  # half of 17, rounded up
    attack = DeSparsify(eps=32 / 255, steps=8).build(held.spec)
    woken = craft(attack, held, ASKED, Streams(0, (0, 1, 2)))
    constants = torch.stack([torch.full_like(ASKED.images[0], each) for each in (0.0, 0.5, 1.0)])
    for pixels in (ASKED.images, woken, constants):
        assert (macs(held, pixels) <= ceiling(module(held))).all()
    assert ceiling(module(held)) < ceiling(module(free))
    assert (macs(held, ASKED.images) < macs(free, ASKED.images)).any()


@every
@pytest.mark.parametrize("by", ["least confident", "random"])
def test_attacks_are_crafted_on_it_and_each_picture_is_alone(kind: str, by: str) -> None:
    held = sparse(kind) | Cap(0.6, by=by)
    attack = DeSparsify(eps=8 / 255, steps=3).build(held.spec)
    together = craft(attack, held, ASKED, Streams(0, (0, 1, 2)))
    assert not torch.equal(together, ASKED.images)
    for row in range(3):
        alone = craft(attack, held, pick(ASKED, row), Streams(0, (row,)))
        assert torch.equal(together[row : row + 1], alone)


def test_a_cap_of_everything_changes_no_bit() -> None:
    free = sparse("ats")
    with torch.no_grad():
        assert torch.equal((free | Cap(1.0)).logits(ASKED.images), free.logits(ASKED.images))


def test_a_cap_under_int8_is_calibrated_on_what_runs() -> None:
    bare = victim("vit")
    bare = Victim(bare.spec, bare.module.float(), bare.family)
    held = altered(bare, (TokenSampling(), Int8(1.0), Cap()))
    below = altered(bare, (TokenSampling(), Int8(1.0)))
    bound = module(held).bound
    assert bound is not None
    assert bound.most == Cap().most(below, module(below))
    assert held.spec.full == "vit|ats|int8:threshold=1|cap"


def test_a_model_that_drops_nothing_has_nothing_to_bound() -> None:
    with pytest.raises(UnsupportedModel, match="nothing to bound") as refused:
        victim("vit") | Cap()
    assert "ats" in refused.value.hint
