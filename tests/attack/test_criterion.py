"""What success means: picture by picture, on any kind of model, in words that read well."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from engine.alter.quantize.peaks import Peaks
from engine.attack.attack import observe
from engine.attack.catalog import RECIPES
from engine.attack.criterion import (
    AnotherAnswer,
    AskedAnswer,
    CostUp,
    Criterion,
    FeatureMoved,
    GapClosed,
    Outcome,
)
from engine.attack.quant_objective import OutlierColumns
from engine.attack.sparse_objective import Macs
from engine.model.sites import Address, Site
from engine.model.task import Task
from engine.model.victim import Forward, Victim
from tests.model.sparse.mechanisms import KINDS, sparse
from tests.tiny import MODULES, task, victim

COLUMNS = CostUp(OutlierColumns(2.0), least=1.05)
CRITERIA: tuple[Criterion, ...] = (
    AnotherAnswer(),
    AskedAnswer(),
    COLUMNS,
    FeatureMoved(0.9),
    GapClosed(Macs()),
)
ASKED = replace(task(3), target=(task(3).labels + 1) % 7)
MOVED = (
    ASKED.images
    + 0.3 * (torch.rand(ASKED.images.shape, generator=torch.Generator().manual_seed(1)) - 0.5)
).clamp(0, 1)


def passes(
    source: Victim, criterion: Criterion, rows: slice = slice(None)
) -> tuple[Forward, Forward]:
    sites = criterion.sites
    return observe(source, ASKED.images[rows], sites), observe(source, MOVED[rows], sites)


@pytest.mark.parametrize("model", [*MODULES, *KINDS])
@pytest.mark.parametrize("criterion", CRITERIA, ids=lambda each: each.name)
def test_each_picture_is_judged_alone_or_it_is_said_why_not(criterion: Criterion, model: str):
    source = sparse(model) if model in KINDS else victim(model)
    lacking = criterion.lacks(source.spec)
    assert (lacking is None) == (criterion.sites <= source.spec.sites)
    if lacking:
        assert lacking.startswith(f"{source.spec.name} has no ")
        return
    whole = criterion.reached(*passes(source, criterion), ASKED)
    figures = criterion.figures(*passes(source, criterion))
    assert whole.dtype == torch.bool
    assert whole.shape == (3,)
    for row in range(3):
        one = slice(row, row + 1)
        alone = passes(source, criterion, one)
        assert torch.equal(criterion.reached(*alone, ASKED.of(torch.tensor([row]))), whole[one])
        for name, value in criterion.figures(*alone).items():
            # 1e-12: sums of float64 in another order
            torch.testing.assert_close(value, figures[name][one], rtol=1e-12, atol=1e-12)


def answering(classes: list[int]) -> Forward:
    logits = torch.nn.functional.one_hot(torch.tensor(classes), 5).double()
    return Forward(torch.zeros(len(classes), 3, 2, 2), logits, {}, {})


def test_answers_are_judged_by_the_label_or_the_target():
    asked = Task(torch.zeros(3, 3, 2, 2), torch.tensor([0, 1, 2]), torch.tensor([4, 4, 4]))
    now = answering([0, 4, 3])
    assert AnotherAnswer().reached(None, now, asked).tolist() == [False, True, True]
    assert AskedAnswer().reached(None, now, asked).tolist() == [False, True, False]
    assert AnotherAnswer().aimed(True) == AskedAnswer()
    assert COLUMNS.aimed(True) == COLUMNS


def test_cost_is_up_and_the_answer_kept():
    counts = {0: [10.0, 10, 10, 0, 0], 1: [20.0, 19, 30, 1, 2]}

    class Told:
        name, sites = "dimes", frozenset[str]()

        def __call__(self, out: Forward) -> Tensor:
            return torch.tensor(counts[int(out.images[0, 0, 0, 0])])

    before, after = answering([1, 1, 1, 1, 1]), answering([1, 1, 2, 1, 1])
    after = replace(after, images=torch.ones(5, 3, 2, 2))
    criterion = CostUp(Told())
    # of none, two are the first that count as twice as many
    reached = criterion.reached(before, after, ASKED)
    assert reached.tolist() == [True, False, False, False, True]
    figures = criterion.figures(before, after)
    assert figures["times"].tolist() == pytest.approx([2, 1.9, 3, 1, 2])
    said = [
        criterion.verdict(
            Outcome(bool(r), {k: float(v[i]) for k, v in figures.items()}, "a", "a", "b")
        )
        for i, r in enumerate(reached)
    ]
    assert [each.state for each in said] == ["yes", "no", "half", "no", "yes"]
    assert said[0].text == "costs 2 x the dimes (10 -> 20), answer kept"
    assert said[1].text == "dimes: 10 -> 19, not 2 x as many; answer kept"
    assert said[2].text == "costs 3 x the dimes (10 -> 30), but the answer changed: a -> b"


def test_a_saving_is_lost_and_the_answer_kept():
    spent, dense = (Address(Site.COST, 1, slot) for slot in ("macs", "dense"))

    def costing(counts: list[int], classes: list[int]) -> Forward:
        mega = torch.tensor(counts) * 10**6
        return replace(answering(classes), seen={spent: mega, dense: torch.full_like(mega, 10**9)})

    before = costing([400, 400, 400, 400, 1000], [1, 1, 1, 1, 1])
    after = costing([700, 600, 900, 300, 1000], [1, 1, 2, 1, 1])
    criterion = GapClosed(Macs())
    reached = criterion.reached(before, after, ASKED)
    assert reached.tolist() == [True, False, False, False, False]
    figures = criterion.figures(before, after)
    assert figures["saving lost"].tolist() == pytest.approx([1 / 2, 1 / 3, 5 / 6, -1 / 6, 0])
    said = [
        criterion.verdict(
            Outcome(bool(r), {k: float(v[i]) for k, v in figures.items()}, "a", "a", "b")
        )
        for i, r in enumerate(reached)
    ]
    assert [each.state for each in said] == ["yes", "no", "half", "no", "no"]
    assert said[0].text == "50% of the saving lost (0.4 -> 0.7 of 1 GMACs), answer kept"
    assert said[2].text == (
        "83% of the saving lost (0.4 -> 0.9 of 1 GMACs), but the answer changed: a -> b"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_moved_loses_nothing_and_nothing_spared_is_all_lost(kind: str):
    source, criterion = sparse(kind), GapClosed(Macs())
    clean = observe(source, ASKED.images, criterion.sites)
    none = criterion.figures(clean, clean)["saving lost"]
    assert none.tolist() == [0, 0, 0]
    dense = {
        at: clean.seen[at._replace(slot="dense")] if at.slot == "macs" else value
        for at, value in clean.seen.items()
    }
    every = criterion.figures(clean, replace(clean, seen=dense))["saving lost"]
    assert every.tolist() == [1, 1, 1]
    assert bool(criterion.reached(clean, replace(clean, seen=dense), ASKED).all())


@pytest.mark.parametrize("model", ["vit", "pit", "swin", "visformer"])
def test_outlier_columns_are_those_an_int8_model_counts(model: str):
    source = victim(model)
    for threshold in (0.5, 2.0):
        cost = OutlierColumns(threshold)
        own = cost(observe(source, ASKED.images, cost.sites))
        assert own.tolist() == Peaks.of(source, ASKED.images).total(threshold).tolist()


def test_headlines():
    def said(
        criterion: Criterion, reached: bool, after: str, **figures: float
    ) -> tuple[str, str, str]:
        outcome = Outcome(reached, figures, "golf ball", "golf ball", after, "tench")
        return tuple(criterion.verdict(outcome))

    another, asked = AnotherAnswer(), AskedAnswer()
    assert said(another, True, "tench") == ("yes", "fooled", "fooled: golf ball -> tench")
    assert said(another, False, "golf ball")[1] == "not fooled"
    assert said(asked, True, "tench")[:2] == ("yes", "target reached")
    assert said(asked, False, "church") == (
        "half",
        "fooled, but not tench",
        "fooled, but not tench: golf ball -> church",
    )
    assert said(asked, False, "golf ball")[0] == "no"
    moved = said(FeatureMoved(), True, "tench", **{"feature cosine": 0.1})
    assert moved[2] == "feature moved: cosine 0.10 to the clean feature"
    figures = {
        "times": 27.4,
        "answer kept": 1.0,
        "outlier columns at 6": 84,
        "outlier columns at 6, clean": 3,
    }
    costly = CostUp(OutlierColumns()).verdict(Outcome(True, figures, "a", "a", "a"))
    assert costly.text == "costs 27 x the outlier columns at 6 (3 -> 84), answer kept"


def test_an_attack_is_judged_by_its_recipes_criterion():
    source = victim("vit")
    for kind in RECIPES:
        recipe = kind()
        assert recipe.build(source.spec).criterion == recipe.criterion
    costly = {kind.name: type(kind().criterion) for kind in RECIPES if kind().criterion.wants_clean}
    spent = {"quantattack": CostUp, "sponge": CostUp}
    lost = {"desparsify": GapClosed, "slowformer": GapClosed}
    assert costly == spent | lost | {"feature": FeatureMoved}
