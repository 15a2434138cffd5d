"""The control: an attack on a victim that keeps a fixed share has work to do and moves no cost (law 18)."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engine.alter.cap import Cap
from engine.alter.topk import FixedRatio
from engine.attack.attack import craft
from engine.attack.catalog import parse
from engine.core.errors import UnsupportedModel
from engine.core.streams import Streams
from engine.model.sites import TRANSFORMER, Site
from engine.model.victim import Victim
from tests.model.sparse.mechanisms import KINDS, sparse
from tests.tiny import pick, task, victim

ASKED = task(3)
STREAMS = Streams(0, (0, 1, 2))


def macs(of: Victim, pixels: Tensor) -> set[int]:
    with torch.no_grad(), of.session(observe={Site.COST}) as forward:
        return set(forward(pixels).values(Site.COST, "macs")[0].tolist())


@pytest.mark.parametrize("name", ["desparsify", "pgd", "sponge"])
@pytest.mark.parametrize("host", ["vit", "deit_distilled"])
def test_no_attack_moves_the_cost_by_a_single_operation(name: str, host: str) -> None:
    made = victim(host) | FixedRatio(0.5)
    attack = parse(name, {"eps": "32/255", "steps": "3"}).build(made.spec)
    attacked = craft(attack, made, ASKED, STREAMS)
    assert float((attacked - ASKED.images).abs().max()) > 16 / 255  # it was a real attempt
    assert macs(made, attacked) == macs(made, ASKED.images)
    assert len(macs(made, attacked)) == 1


def test_the_same_attempt_moves_the_cost_of_what_decides_by_itself() -> None:
    for kind in KINDS:
        made = sparse(kind)
        attack = parse("desparsify", {"eps": "32/255", "steps": "8"}).build(made.spec)
        assert macs(made, craft(attack, made, ASKED, STREAMS)) != macs(made, ASKED.images)


def test_it_has_the_sites_of_its_host_and_what_it_decides_and_each_picture_is_alone() -> None:
    made = victim("vit") | FixedRatio()
    assert made.spec.sites == TRANSFORMER | {Site.KEEP, Site.SIGNIFICANCE, Site.COST}
    attack = parse("desparsify", {"steps": "2"}).build(made.spec)
    together = craft(attack, made, ASKED, STREAMS)
    for row in range(3):
        alone = craft(attack, made, pick(ASKED, row), Streams(0, (row,)))
        assert torch.equal(together[row : row + 1], alone)


def test_a_cap_of_what_it_keeps_changes_no_bit() -> None:
    """Clean counts are all alike, so their mean is each of them."""
    made = victim("vit") | FixedRatio(0.5)
    with torch.no_grad():
        assert torch.equal((made | Cap()).logits(ASKED.images), made.logits(ASKED.images))


def test_what_drops_tokens_already_says_so() -> None:
    with pytest.raises(UnsupportedModel, match="drops tokens already, by A-ViT"):
        sparse("avit") | FixedRatio()
