"""DeSparsify: what its losses are worth where that is known, and what the attack does to each mechanism."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import cast, get_args

import pytest
import torch
from torch import Tensor

from engine.alter.ensemble import ensemble
from engine.attack.attack import craft, observe, run
from engine.attack.chain import Chain
from engine.attack.criterion import answers
from engine.attack.moment import Moment
from engine.attack.objective import Objective, Weighted
from engine.attack.recipes.desparsify import DeSparsify
from engine.attack.sparse_objective import (
    AllOn,
    Direction,
    KeepClass,
    Macs,
    Picks,
    Reading,
    Running,
    RunOn,
    Support,
    UniformScores,
)
from engine.core.errors import MissingSite
from engine.core.streams import Streams
from engine.model.sites import Address, Site
from engine.model.sparse import SparseViT, cost
from engine.model.victim import Forward, Victim
from tests.model.sparse.mechanisms import KINDS, sparse
from tests.tiny import task, victim

ASKED = task(3)
EPS, STEPS = 16 / 255, 20
AT = Moment(0, 1, ASKED)
every = pytest.mark.parametrize("kind", KINDS)
PREFIX = (1, 1)
SCORES = [
    UniformScores(PREFIX, direction, support)
    for direction in get_args(Direction)
    for support in get_args(Support)
]


def draw(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=Streams(0).at(str(shape)), dtype=torch.float64)


def passed(seen: Mapping[Address, Tensor], logits: Tensor | None = None) -> Forward:
    b = len(next(iter(seen.values()))) if seen else 2
    return Forward(
        torch.zeros(b, 3, 2, 2), torch.zeros(b, 5) if logits is None else logits, seen, {}
    )


def scored(s: Tensor) -> Forward:
    """Scores (2 blocks, b, patches) behind one prefix token."""
    with_prefix = torch.cat((torch.zeros_like(s[..., :1]), s), -1)
    return passed({Address(Site.SIGNIFICANCE, i): each for i, each in enumerate(with_prefix)})


def halting(h: Tensor, kept: Tensor) -> Forward:
    """Scores (l, b, n) and who runs in all blocks but the first (l - 1, b, n)."""
    seen = {Address(Site.HALTING, i): each for i, each in enumerate(h)}
    return passed(seen | {Address(Site.KEEP, i): each for i, each in enumerate(kept, 1)})


def decided(soft: Mapping[str, Tensor]) -> Forward:
    """Two blocks' sigmoids (2, b, decisions) of each kind, cut at a half with straight-through gradient."""
    seen: dict[Address, Tensor] = {}
    for kind, values in soft.items():
        for i, each in enumerate(values):
            seen[Address(Site.DECISION, i, f"{kind}.soft")] = each
            hard = (each > 0.5) + (each - each.detach())
            seen[Address(Site.DECISION, i, f"{kind}.hard")] = hard
    return passed(seen)


def choices(tokens: float, heads: float, msa: float, ffn: float) -> Forward:
    full = torch.ones(2, 3, 4, dtype=torch.float64)
    sublayers = torch.tensor([msa, ffn]).double().expand(2, 3, 2)
    return decided({"tokens": tokens * full, "heads": heads * full, "sublayers": sublayers})


@pytest.mark.parametrize("loss", SCORES, ids=lambda each: f"{each.direction}-{each.support}")
def test_scores_are_nearest_to_uniform_where_they_are(loss: UniformScores) -> None:
    even = torch.full((2, 3, 8), 1 / 8, dtype=torch.float64)
    uneven = draw(2, 3, 8).softmax(-1)
    # sums of logarithms of float64
    torch.testing.assert_close(loss(scored(even), AT), torch.zeros(3).double(), atol=1e-14, rtol=0)
    assert (loss(scored(uneven), AT) < -1e-4).all()
    gone = torch.cat((torch.zeros(2, 3, 4).double(), even[..., :4] * 2), -1)
    left = loss(scored(gone), AT)
    assert left.isfinite().all()
    assert bool((left < -0.5).all()) == (loss.support == "all")


def test_divergences_are_the_textbooks() -> None:
    s = draw(2, 3, 8).softmax(-1)
    there, back = (UniformScores(PREFIX, each)(scored(s), AT) for each in get_args(Direction))
    u = torch.full_like(s, 1 / 8)
    torch.testing.assert_close(there, -(u * (u / s).log()).sum(-1).mean(0))
    torch.testing.assert_close(back, -(s * (s / u).log()).sum(-1).mean(0))


def test_the_soft_count_is_the_number_of_picks_to_within_a_half() -> None:
    source = sparse("ats")
    out = observe(source, ASKED.images, Picks.sites)
    patches = torch.stack(out.values(Site.KEEP))[:, :, 1:]
    n = patches.shape[2]
    gap = (Picks()(out, AT) + 1) * (n + 1) - (patches.sum(2).mean(0) + 1)
    assert float(gap.abs().max()) <= 0.5 + 1e-9
    x = crafted("ats", form="count", mu=0.9)
    assert float(gained(source, x).mean()) > 0.44


def test_nothing_halts_nothing_lost_and_what_has_halted_counts_no_more() -> None:
    loss, ones = RunOn(PREFIX), torch.ones(1, 1, 3).double()
    assert loss(halting(0 * ones.repeat(2, 1, 1), ones), AT).tolist() == [0]
    h = torch.tensor([[0.9, 0.4, 1.0], [0.9, 0.4, 0.3]])[:, None].double()
    # patch 1 runs twice, .4^2 + .8^2; patch 2 once, 1; over 2 blocks and 2 patches; the prefix not
    went = loss(halting(h, torch.tensor([[[1.0, 1, 0]]]).double()), AT)
    torch.testing.assert_close(went, torch.tensor([-(0.16 + 0.64 + 1) / 4]).double())


def test_the_soft_count_of_running_tokens_becomes_their_number() -> None:
    """Three tokens of three blocks: one halts after the first, one after the second, one never."""
    h = torch.tensor([[1.5, 0.5, 0.1], [0, 0.9, 0.1], [0, 0, 0.9]])[:, None].double()
    out = halting(h, torch.tensor([[[0.0, 1, 1]], [[0, 0, 1]]]).double())
    first, last = (float(Running()(out, replace(AT, step=t, steps=1)) + 1) for t in (0, 1))
    assert last == pytest.approx((2 + 1) / 6, abs=1e-5)  # sigmoid(0.4 x 32) = 1 - 3e-6
    assert first == pytest.approx((sum(map(expit, (-1, 1, 1.8, -0.8, 1.6)))) / 6)


def expit(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_decisions_cost_what_is_off() -> None:
    for soft in (False, True):
        loss = AllOn(soft)
        assert (loss(choices(1, 1, 1, 1), AT) == 0).all()
        assert loss(choices(0, 0, 0, 0), AT).tolist() == [-2] * 3
        assert loss(choices(0, 0, 1, 0), AT).tolist() == [-2.5] * 3
    # on or off is what counts, or how surely
    assert (AllOn()(choices(0.8, 0.8, 0.8, 0.8), AT) == 0).all()
    assert (AllOn(True)(choices(0.8, 0.8, 0.8, 0.8), AT) < -0.1).all()


def test_a_margin_asks_for_the_answer_where_it_is_not_safe() -> None:
    z0 = torch.tensor([[3.0, 1, 0]] * 4)
    z = torch.tensor([[9.0, 1, 0], [2, 1, 0], [2, 1.5, 0], [0, 0, 2]])
    pictures = torch.zeros(4, 3, 2, 2)
    clean, now = (Forward(pictures, logits, {}, {}) for logits in (z0, z))
    assert KeepClass("margin")(now, replace(AT, clean=clean)).tolist() == [0, 0, -0.5, -3]


@pytest.mark.parametrize("reading", ["soft", "mean", "binary"])
def test_the_clean_answer_is_the_least_of_each_reading(reading: Reading) -> None:
    z0 = 4 * draw(2, 5)
    at = replace(AT, clean=passed({}, z0))
    leaf = z0.clone().requires_grad_()
    loss = KeepClass(reading)(passed({}, leaf), at)
    (g,) = torch.autograd.grad(loss.sum(), leaf)
    assert float(g.abs().max()) < 1e-15
    assert (KeepClass(reading)(passed({}, z0 + draw(2, 5)), at) < loss).all()
    if reading == "mean":
        torch.testing.assert_close(5 * loss, KeepClass("soft")(passed({}, leaf), at))


def one_pass(loss: Objective, x: Tensor) -> Forward:
    """x (2, 2, 6) as what the loss reads."""
    if isinstance(loss, UniformScores):
        return scored(x.softmax(-1))
    if isinstance(loss, Picks):
        out = scored(x.softmax(-1))
        soft = {
            Address(Site.KEEP, at.block, "soft"): (4 * s).clamp_max(1) for at, s in out.seen.items()
        }
        return passed({**out.seen, **soft})
    if isinstance(loss, RunOn | Running):
        return halting(0.3 * x.sigmoid(), (draw(1, 2, 6) > 0.5).double())
    soft = x.sigmoid()
    return decided({"tokens": soft, "heads": soft, "sublayers": soft[..., :2]})


@pytest.mark.parametrize("loss", [*SCORES, Picks(), RunOn(PREFIX), Running(), AllOn(soft=True)])
def test_slopes_are_those_of_differences(loss: Objective) -> None:
    x = (draw(2, 2, 6) - 0.3).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(one_pass(loss, x), AT), x)


@pytest.mark.parametrize("reading", get_args(Reading))
def test_slopes_of_the_class_loss_are_those_of_differences(reading: Reading) -> None:
    at = replace(AT, clean=passed({}, draw(2, 5)))
    z = (3 * draw(2, 5)).flip(0).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: KeepClass(reading)(passed({}, z), at), z)


@pytest.mark.parametrize(("steps", "first"), [(250, EPS / 10), (4, 2.5 * EPS / 4)])
def test_steps_shrink_from_a_tenth_of_eps_to_nothing(steps: int, first: float) -> None:
    update = cast(Chain, DeSparsify(eps=EPS, steps=steps).build(victim().spec)).update
    one = torch.ones(1, 3, 2, 2)
    sizes = [
        float(update.apply(one, update.init(one), Moment(at, steps, ASKED))[0].max())
        for at in range(steps + 1)
    ]
    expected = [first * (1 + math.cos(math.pi * t / steps)) / 2 for t in range(steps + 1)]
    assert sizes == pytest.approx(expected, rel=1e-6)
    assert sizes[-1] == 0


@every
def test_the_published_attack_is_there(kind: str) -> None:
    """Its losses, 8e-4 of the cross-entropy, and the sign of the gradient alone."""
    source = sparse(kind)
    published = DeSparsify(form="paper", reading="soft", lam=8e-4, mu=0.0)
    attack = cast(Chain, published.build(source.spec))
    prefix = tuple(block.prefix for block in source.spec.blocks)
    losses = {"ats": UniformScores(prefix), "avit": RunOn(prefix), "adavit": AllOn()}
    assert attack.objective == Weighted(((1.0, losses[kind]), (8e-4, KeepClass("soft"))))
    g = draw(1, 3, 2, 2) - 0.5
    step, _ = attack.update.apply(g, attack.update.init(g), Moment(0, 250, ASKED))
    torch.testing.assert_close(step, published.eps / 10 * g.sign())


@functools.cache
def crafted(kind: str, **knobs: float | str) -> Tensor:
    source = sparse(kind)
    attack = DeSparsify(**{"eps": EPS, "steps": STEPS} | knobs).build(source.spec)  # pyright: ignore
    return craft(attack, source, ASKED, Streams(0))


def gained(source: Victim, x: Tensor) -> Tensor:
    """The share of each picture's saving that is lost."""
    module = cast(SparseViT, source.module)
    before, after = (
        cost.macs(module.trace((each - source._mean) / source._std)[1])
        for each in (ASKED.images, x)
    )
    return cost.gain(after, before, cost.dense_macs(module.layout))


def kept(source: Victim, x: Tensor) -> Tensor:
    before, after = (answers(observe(source, each, ())) for each in (ASKED.images, x))
    return before == after


@every
def test_every_picture_costs_more_and_a_heavy_class_term_keeps_answers(kind: str) -> None:
    source = sparse(kind)
    free, bound = crafted(kind), crafted(kind, lam=1000.0)
    # DeSparsify's own figures: 74 % of the saving taken away (ATS), 44 % (AdaViT), 100 % (A-ViT)
    assert (gained(source, free) > 0).all()
    assert float(gained(source, free).mean()) > 0.44
    assert kept(source, bound).all()
    assert float(gained(source, bound).mean()) < float(gained(source, free).mean())


@every
def test_the_best_iterate_is_no_worse_than_any(kind: str) -> None:
    source = sparse(kind)
    recipe = DeSparsify(eps=EPS, steps=5, iterate="best")
    attack = recipe.build(source.spec)
    reached = torch.zeros(3, dtype=torch.bool)
    x = ASKED.images
    for state, info in run(attack, source, ASKED, Streams(0)):
        reached, x = reached | info.success, state.x
    clean, now = (observe(source, each, recipe.criterion.sites) for each in (ASKED.images, x))
    assert (recipe.criterion.reached(clean, now, ASKED) >= reached).all()
    figures = recipe.criterion.figures(clean, now)
    assert (figures["MACs"] >= figures["MACs, clean"]).all()


def test_a_dense_model_is_told_what_to_do() -> None:
    source = victim()
    recipe = DeSparsify(steps=1)
    why = recipe.criterion.lacks(source.spec)
    assert why is not None
    assert "Alter a plain ViT or DeiT by ATS" in why
    with pytest.raises(MissingSite):
        craft(recipe.build(source.spec), source, ASKED, Streams(0))


@every
def test_an_ensemble_of_one_is_attacked_as_the_one(kind: str) -> None:
    alone = ensemble((sparse(kind),))
    attack = DeSparsify(eps=EPS, steps=STEPS).build(alone.spec)
    # float64: rounding before each sign
    assert torch.allclose(craft(attack, alone, ASKED, Streams(0)), crafted(kind), rtol=0, atol=1e-9)


def test_several_mechanisms_are_woken_at_once() -> None:
    each = [sparse(kind) for kind in KINDS]
    together = ensemble(each)
    recipe = DeSparsify(eps=EPS, steps=STEPS)
    attack = cast(Chain, recipe.build(together.spec))
    x = craft(attack, together, ASKED, Streams(0))
    for source in each:
        assert float(gained(source, x).mean()) > 0.1
    clean = observe(together, ASKED.images, attack.sites)
    at = replace(AT, clean=clean)
    loss = recipe.mechanism(together.spec)
    assert loss(clean, at).tolist() == pytest.approx([-3.0] * 3)


def test_each_member_of_an_ensemble_is_to_keep_its_own_answer() -> None:
    each = [sparse(kind) for kind in KINDS]
    together, keep = ensemble(each), KeepClass("soft", frozenset({Site.VOTE}))
    moved = ASKED.images.flip(3)

    def loss(source: Victim) -> Tensor:
        clean, now = (
            observe(source, x, source.spec.sites & keep.sites) for x in (ASKED.images, moved)
        )
        return keep(now, replace(AT, clean=clean))

    torch.testing.assert_close(loss(together), sum(map(loss, each)) / len(each))
    terms = cast(Chain, DeSparsify().build(together.spec)).objective
    assert Site.VOTE in terms.sites


def test_models_side_by_side_count_as_their_mean() -> None:
    """Two A-ViTs as one: the sum of halting scores starts anew where the second begins."""
    source = sparse("avit")
    twice = ensemble((source, sparse("avit")))
    alone, both = (
        RunOn((1,) * 6)(observe(each, ASKED.images, RunOn.sites), AT) for each in (source, twice)
    )
    torch.testing.assert_close(alone, both)
    counts = Macs()
    single, pair = (counts(observe(each, ASKED.images, counts.sites)) for each in (source, twice))
    assert torch.equal(2 * single, pair)
