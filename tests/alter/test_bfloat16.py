"""Crafting in bfloat16: near the exact victim, every site acts, judged in float32."""

from __future__ import annotations

import pytest
import torch

from engine.alter.bfloat16 import BFloat16, is_fast
from engine.attack.attack import craft
from engine.attack.recipes.tgr import TGR
from engine.core.streams import Streams
from engine.model.task import Task
from engine.model.victim import Victim
from tests.tiny import MODULES, task, victim

PIXELS = task(4).images.float()


def single(model: str) -> Victim:
    source = victim(model)
    return Victim(source.spec, source.module.float(), source.family)


@pytest.mark.parametrize("model", MODULES)
def test_logits_are_near_and_sites_are_reached(model: str) -> None:
    exact = single(model)
    coarse = BFloat16()(exact)
    with torch.no_grad(), coarse.session(observe=coarse.spec.sites) as forward:
        out = forward(PIXELS)
        want = exact.logits(PIXELS)
    assert out.logits.dtype is torch.float32
    # 8 bits of mantissa are 0.4 %; through a few layers, on logits of size one, some percent
    gap = float((out.logits - want).abs().max() / want.abs().max())
    assert 0 < gap < 0.1
    assert {at.site for at in out.seen} == set(coarse.spec.sites)


@pytest.mark.parametrize("model", ["vit", "pit", "cait", "visformer"])
def test_tgr_climbs_the_exact_loss(model: str) -> None:
    exact, asked = single(model), task(4)
    asked = Task(asked.images.float(), asked.labels)
    x = craft(TGR(eps=16 / 255, steps=4).build(exact.spec), BFloat16()(exact), asked, Streams(0))
    assert x.dtype is torch.float32
    assert float((x - asked.images).abs().max()) <= 16 / 255 + 1e-6
    loss = [
        torch.nn.functional.cross_entropy(exact.logits(each), asked.labels)
        for each in (asked.images, x)
    ]
    assert float(loss[1]) > float(loss[0])


def test_the_cpu_says_what_it_has() -> None:
    assert is_fast(torch.device("cpu")) in (True, False)
    assert not is_fast(torch.device("meta"))
