"""Bounds on tokens: what they are called, what they leave of an attack, and what they promise."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engine.alter.cap import Cap
from engine.alter.catalog import parse_stack, spell_stack
from engine.alter.stack import altered
from engine.attack.recipes.desparsify import DeSparsify
from engine.evaluate.craft import crafted
from engine.evaluate.judge import predict
from engine.evaluate.progress import Progress
from engine.model.victim import Victim
from engine.papers.desparsify.countermeasures import Bounded, countermeasures, curve
from engine.papers.desparsify.sets import Load
from tests.model.sparse.mechanisms import KINDS, sparse
from tests.tiny import task

ASKED = task(3)
CLEAN = (ASKED.images * 255).round().to(torch.uint8)
every = pytest.mark.parametrize("kind", KINDS)


def craft(on: Victim) -> Tensor:
    *_, last = crafted(DeSparsify(steps=4).build(on.spec), on, CLEAN, ASKED.labels, eps=16 / 255)
    return last.saved


def test_each_countermeasure_has_a_name_of_its_own_and_can_be_written() -> None:
    made = countermeasures()
    assert len({each.name for each in made}) == len({each.stack for each in made}) == len(made)
    assert all(parse_stack(spell_stack(each.stack)) == each.stack for each in made)


@every
def test_a_load_is_each_pictures_own(kind: str) -> None:
    victim = sparse(kind)
    found = Load.of(victim, CLEAN)
    alone = [Load.of(victim, each) for each in CLEAN.split(1)]
    assert found.macs.tolist() == [int(each.macs) for each in alone]
    assert torch.equal(found.answers, predict(victim, CLEAN))
    assert len(found.macs.unique()) > 1


@every
def test_the_curve_ends_at_the_model_without_a_bound_and_nowhere_passes_its_ceiling(
    kind: str,
) -> None:
    victim = sparse(kind)
    blind = craft(victim)
    events = list(curve(victim, CLEAN, blind, craft, bounds=(0.3, 0.6, 1.0)))
    points = [each for each in events if isinstance(each, Bounded)]
    assert sum(isinstance(each, Progress) for each in events) == 3
    assert [each.bound for each in points] == [0.3, 0.6, 1.0]
    for each in points:
        assert each.stack == (Cap(each.bound),)
        assert each.adaptive is not None
        for some in (each.clean, each.blind, each.adaptive):
            assert int(some.macs.max()) <= each.ceiling
        held = altered(victim, each.stack)
        assert torch.equal(each.adaptive.macs, Load.of(held, craft(held)).macs)
    assert points[0].ceiling < points[1].ceiling < points[2].ceiling
    free = points[-1]
    assert torch.equal(free.clean.macs, Load.of(victim, CLEAN).macs)
    assert torch.equal(free.blind.macs, Load.of(victim, blind).macs)


def test_without_an_attack_there_is_no_adaptive_one() -> None:
    *_, last = curve(sparse("ats"), CLEAN, CLEAN, bounds=(0.5,), by="random")
    assert isinstance(last, Bounded)
    assert last.adaptive is None
    assert last.stack == (Cap(0.5, by="random"),)
    assert torch.equal(last.clean.macs, last.blind.macs)
