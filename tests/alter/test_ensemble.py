"""An ensemble is the mean of its members, and is attacked like any victim."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
import torch

from engine.alter.ensemble import ensemble
from engine.attack.attack import Watch, craft
from engine.attack.moment import Moment
from engine.attack.recipes.mifgsm import MIFGSM
from engine.attack.recipes.tgr import TGR
from engine.core.errors import UnsupportedModel
from engine.core.streams import Streams
from engine.model.sites import Site
from engine.model.victim import Victim
from tests.tiny import task, victim

PIXELS = task(2).images


def three() -> tuple[Victim, ...]:
    return victim("vit"), victim("cait", 1), victim("resnet", 2)


def test_logits_are_the_mean_under_each_members_own_normalisation():
    first, second = victim("vit"), victim("vit", 1)
    second = Victim(replace(second.spec, mean=(0.0, 0.1, 0.2)), second.module, second.family)
    mean = (first.logits(PIXELS) + second.logits(PIXELS)) / 2
    torch.testing.assert_close(ensemble((first, second)).logits(PIXELS), mean)


def test_of_one_member_is_that_member():
    source = victim("vit")
    alone = ensemble((source,))
    assert torch.equal(alone.logits(PIXELS), source.logits(PIXELS))
    for recipe in (MIFGSM(steps=2), TGR(steps=2)):
        ours = craft(recipe.build(alone.spec), alone, task(2), Streams(0))
        theirs = craft(recipe.build(source.spec), source, task(2), Streams(0))
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)


def test_gradient_is_the_mean_of_the_members_gradients():
    members = three()
    whole = ensemble(members)
    leaf = PIXELS.clone().requires_grad_()
    (g,) = torch.autograd.grad(whole.logits(leaf).square().sum(), leaf)
    parts = [m.logits(leaf) for m in members]
    (expected,) = torch.autograd.grad((sum(parts) / 3).square().sum(), leaf)
    torch.testing.assert_close(g, expected)


def test_blocks_stand_side_by_side_and_rules_act_in_all_that_have_the_site():
    members = three()
    whole = ensemble(members)
    depths = [m.spec.depth for m in members]
    assert whole.spec.depth == sum(depths)
    attack = TGR(steps=2).build(whole.spec)
    at = Moment(0, 2, task(2))
    watch = Watch(gradients=whole.spec.sites)
    out = attack.gradient(whole, PIXELS, at, Streams(0).at("x"), watch).out
    blocks = {site: {at.block for at in out.grads if at.site is site} for site in whole.spec.sites}
    assert blocks[Site.MLP_OUT] == set(range(sum(depths)))
    assert blocks[Site.SCORES] == set(range(depths[0] + depths[1]))


def test_leaves_its_members_alone():
    members = three()
    before = [m.logits(PIXELS) for m in members]
    whole = ensemble(members)
    craft(TGR(steps=1).build(whole.spec), whole, task(2), Streams(0))
    for member, logits in zip(members, before, strict=True):
        assert torch.equal(member.logits(PIXELS), logits)
        assert all(not module._forward_hooks for module in member.module.modules())


def test_holds_its_members_locks_during_a_session():
    members = three()
    whole = ensemble(members)
    free: list[bool] = []

    def try_locks() -> None:
        free.extend(m.lock.acquire(blocking=False) for m in members)

    with whole.session():
        thread = threading.Thread(target=try_locks)
        thread.start()
        thread.join()
    assert free == [False, False, False]
    assert all(m.lock.acquire(blocking=False) for m in members)


def test_members_of_another_size_see_a_resized_picture():
    small, large = victim("resnet"), victim("resnet", 1)
    large = Victim(replace(large.spec, input_size=48), large.module, large.family)
    assert ensemble((small, large)).logits(PIXELS).shape == (2, 7)
    assert ensemble((small, large)).spec.input_size == 32


def test_strangers_are_refused():
    other = victim("vit")
    other = Victim(replace(other.spec, classes=tuple("abcdefg")), other.module, other.family)
    with pytest.raises(UnsupportedModel, match="same classes"):
        ensemble((victim("vit"), other))
    with pytest.raises(UnsupportedModel, match="at least one"):
        ensemble(())
