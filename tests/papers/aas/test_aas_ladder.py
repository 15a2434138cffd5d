"""The ladder of the positive control: every rung is the report at its c, and what is pooled counts rows."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest
import torch
from PIL import Image

from engine.attack.recipes.pgd import PGD
from engine.evaluate.progress import Progress
from engine.model import zoo
from engine.papers.aas import ladder as ladders
from engine.papers.aas.compare import CLEAN, Asked, Outcome, Report, report
from engine.papers.aas.ladder import Ladder, ladder
from engine.papers.aas.pooled import pooled
from engine.papers.export import Made, Source
from engine.probe.scores import PAST
from tests import tiny

CS = (1.0, 30.0)


@pytest.fixture(scope="module")
def asked() -> Asked:
    return Asked((tiny.task(1).images[0] * 255).round().to(torch.uint8), steps=1)


@pytest.fixture(scope="module")
def climbed(asked: Asked) -> list[Ladder]:
    events = ladder(tiny.victim("pit"), asked, CS)
    return [each for each in events if not isinstance(each, Progress)]


def test_clean_pictures_come_first_and_every_rung_is_the_report_at_its_c(
    asked: Asked, climbed: list[Ladder]
) -> None:
    assert [[(r.c, len(r.outcomes)) for r in each.rungs] for each in climbed[:3]] == [
        [(1.0, 0)],
        [(1.0, 0), (30.0, 0)],
        [(1.0, 1), (30.0, 0)],
    ]
    assert not any(each.whole for each in climbed[:-1])
    found = climbed[-1]
    assert found.whole
    assert found.steps == found.asked == sum(len(each.outcomes) for each in found.rungs)
    *_, alone = report(tiny.victim("pit"), replace(asked, c=30.0))
    assert isinstance(alone, Report)
    rung = found.rungs[1]
    assert rung.outcomes == alone.outcomes
    assert torch.equal(rung.factors, alone.factors)
    assert all(torch.equal(rung.pixels[name], alone.pixels[name]) for name in alone.pixels)


def test_who_stops_it_keeps_what_is_there(asked: Asked) -> None:
    *_, found = ladder(tiny.victim(), asked, CS, lambda: True)
    assert isinstance(found, Ladder)
    assert [len(each.outcomes) for each in found.rungs] == [0]
    assert not found.whole


def test_what_is_pooled_counts_every_row_once(climbed: list[Ladder]) -> None:
    """PiT's blocks differ in heads and in tokens."""
    gaps = climbed[-1].rungs[1].gaps[CLEAN]
    heads = climbed[-1].rungs[1].heads
    assert len({*heads}) > 1
    found, rows = pooled(gaps), gaps.counts.sum().item()
    assert torch.allclose(found.shares[-1, -1], gaps.counts.sum((0, 1)).double() / rows)
    assert torch.allclose(found.shares[2, 1], gaps.counts[2, 1].double() / gaps.counts[2, 1].sum())
    assert found.largest[-1, -1] == gaps.largest.nan_to_num(0).max()
    assert torch.isnan(found.largest[0, heads[0] : max(heads)]).all()
    for name in PAST:
        share = gaps.past[name].nan_to_num(0)
        beyond = (share * gaps.counts.sum(-1)).sum().item()
        assert found.past[name][-1, -1].item() == pytest.approx(beyond / rows)
        assert found.past[name][0, 0] == share[0, 0]


def test_files_say_what_they_are_of(asked: Asked, climbed: list[Ladder]) -> None:
    card = zoo.card("vit_imagenette")
    source = Source.of("x", Image.new("RGB", (8, 8)))
    data = ladders.summary(climbed[-1], Made(source, card, PGD.name, PGD(), 0))
    assert [each["scores_times"] for each in data["rungs"]] == [*CS]
    lines = list(csv.DictReader(io.StringIO(ladders.table(data))))
    blocks = len(climbed[-1].rungs[0].heads)
    assert [float(each["scores_times"]) for each in lines] == [c for c in CS for _ in range(blocks)]
    assert {each["picture"] for each in lines} == {"x"}


@pytest.mark.parametrize(
    ("own", "undone", "exact", "words"),
    [
        (True, True, True, "Not masked"),
        (False, True, False, "Masked by saturation, not by rounding."),
        (False, True, True, "Masked by rounding"),
        (False, False, False, "Nothing tried fools it."),
        (None, None, None, "Not attacked yet."),
    ],
)
def test_the_verdict_follows_from_who_fools_it(
    climbed: list[Ladder], own: bool | None, undone: bool | None, exact: bool | None, words: str
) -> None:
    rung = climbed[-1].rungs[1]
    fates = {"base": own, "undone": undone, "float64": exact}
    outcomes = tuple(
        Outcome(name, name, None, 0, 0.5, fooled, fooled, 1)
        for name, fooled in fates.items()
        if fooled is not None
    )
    assert replace(rung, right=True, outcomes=outcomes).verdict.startswith(words)
    assert replace(rung, right=False, outcomes=outcomes).verdict == "Wrong before any attack."
