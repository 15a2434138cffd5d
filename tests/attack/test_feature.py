"""Feature-space attacks: one cosine for all, what is published of them, and who has tokens."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.alter.ensemble import ensemble
from engine.attack.attack import Attack, craft, observe, run
from engine.attack.constraint import to_8bit
from engine.attack.criterion import FeatureMoved
from engine.attack.feature_objective import FEATURE, Axis, cosine, feature, similarity
from engine.attack.recipes.feature import FeaturePGD
from engine.core.errors import MissingSite, UnsupportedModel
from engine.core.streams import Streams
from engine.model.tokens import hosted
from engine.model.victim import Victim
from tests.model.sparse.mechanisms import sparse
from tests.tiny import task, victim

ASKED = task(2)
GEN = torch.Generator().manual_seed(3)
A, B = (torch.randn(3, 5, 7, dtype=torch.float64, generator=GEN) for _ in "ab")


def test_the_published_axis_is_torchs_default():
    """C7 B, law 11."""
    assert torch.equal(cosine(A, B, "token"), F.cosine_similarity(A, B, dim=1).mean(1))
    assert torch.equal(cosine(A, B, "token"), torch.nn.CosineSimilarity()(A, B).mean(1))


def test_the_other_axes_are_what_they_say():
    tokens = [
        [a @ b / (a.norm() * b.norm()) for a, b in zip(x, y, strict=True)]
        for x, y in zip(A, B, strict=True)
    ]
    by_hand = torch.stack([torch.stack(each).mean() for each in tokens])
    torch.testing.assert_close(cosine(A, B, "channel"), by_hand)
    flat = (A * B).sum((1, 2)) / (A.square().sum((1, 2)) * B.square().sum((1, 2))).sqrt()
    torch.testing.assert_close(cosine(A, B, "flat"), flat)


@pytest.mark.parametrize("axis", ["channel", "token", "flat"])
def test_a_cosine_knows_no_scale_and_no_neighbour(axis: Axis):
    assert cosine(A, 3 * A, axis).tolist() == pytest.approx([1, 1, 1])
    assert cosine(A, -A, axis).tolist() == pytest.approx([-1, -1, -1])
    torch.testing.assert_close(cosine(A[1:2], B[1:2], axis), cosine(A, B, axis)[1:2])


SOURCES = ("vit", "deit_distilled", "vit_qk_norm_layer_scale")


def tokens(seed: int, n: int = 4, width: int = 24) -> Tensor:
    gen = torch.Generator().manual_seed(seed)
    return torch.randn(n, width, dtype=torch.float64, generator=gen)


def attack(source: Victim, **settings: Any) -> Attack:
    return FeaturePGD(**{"steps": 3, "eps": 8 / 255} | settings).build(source.spec)


def far(source: Victim, x: Tensor) -> Tensor:
    """cos(f(x), f(x0)) (b,)."""
    return similarity(*(observe(source, each, FEATURE) for each in (x, ASKED.images)))


@pytest.mark.parametrize("start", ["normal", "uniform"])
@pytest.mark.parametrize("space", ["pixel", "normalised"])
def test_the_budget_holds_in_the_space_that_is_named(space: str, start: str):
    """C7 B, law 7: at every step, and by half a 255th more once saved."""
    source, eps = victim(), 8 / 255
    size = torch.tensor(
        source.spec.std if space == "normalised" else (1, 1, 1), dtype=torch.float64
    )
    made = attack(source, space=space, start=start)
    states = [made.init(source, ASKED, Streams(0))]
    states += [state for state, _ in run(made, source, ASKED, Streams(0))]
    for state in states:
        change = (state.x - ASKED.images).abs().amax((0, 2, 3))
        assert bool((change <= eps * size + 1e-12).all())
        assert 0 <= float(state.x.min()) <= float(state.x.max()) <= 1
    reached = (states[-1].x - ASKED.images).abs().amax((0, 2, 3))
    torch.testing.assert_close(reached, eps * size)  # and no channel is given less
    saved = (states[-1].x * 255).round() / 255 - ASKED.images
    assert bool((saved.abs().amax((0, 2, 3)) <= eps * size + 0.5 / 255 + 1e-12).all())
    if space == "pixel":
        pixels = to_8bit(states[-1].x, ASKED.images, eps).double() / 255
        assert float((pixels - ASKED.images).abs().max()) <= eps + 1e-12


def test_steps_are_in_the_space_of_the_budget():
    """From a start far inside a wide ball, one step moves every pixel by the step, channel by channel."""
    source, step = victim(), 1 / 255
    grey = replace(ASKED, images=ASKED.images / 2 + 0.25)
    made = attack(
        source, eps=32 / 255, steps=1, step_size=step, space="normalised", start="uniform"
    )
    state = made.init(source, grey, Streams(0), start=grey.images + 0.01)
    moved = (made.step(source, grey, state, Streams(0))[0].x - state.x).abs()
    for channel, std in enumerate(source.spec.std):
        torch.testing.assert_close(moved[:, channel], torch.full_like(moved[:, 0], step * std))


@pytest.mark.parametrize("model", SOURCES)
def test_what_is_crafted_without_tokens_does_not_depend_on_them(model: str):
    """C7 B, law 8; while an adaptive attacker, who has them, makes another picture of each."""
    public = victim(model)
    before = craft(attack(public), public, ASKED, Streams(0))
    private = [hosted(public, tokens(seed)) for seed in (1, 2)]
    adaptive = [craft(attack(each), each, ASKED, Streams(0)) for each in private]
    assert torch.equal(craft(attack(public), public, ASKED, Streams(0)), before)
    assert not torch.equal(*adaptive)
    assert not torch.equal(adaptive[0], before)


@pytest.mark.parametrize("model", [*SOURCES, "adavit"])
def test_judge_and_source_may_differ_in_tokens(model: str):
    """The feature has the same tokens with and without: each is judged by what is made on the other."""
    public = sparse(model) if model == "adavit" else victim(model)
    private = hosted(public, tokens(1))
    for source, judge in ((public, private), (private, public)):
        seen = observe(judge, craft(attack(source), source, ASKED, Streams(0)), FEATURE)
        both = [observe(each, ASKED.images, FEATURE) for each in (source, judge)]
        assert feature(both[0]).shape == feature(both[1]).shape == feature(seen).shape
        reached = FeatureMoved(0.9).reached(both[1], seen, ASKED)
        assert reached.tolist() == (similarity(seen, both[1]) <= 0.9).tolist()


@pytest.mark.parametrize("distance", ["cosine", "mse"])
@pytest.mark.parametrize("axis", ["channel", "token", "flat"])
def test_the_feature_moves_more_than_by_noise_whatever_the_answer(axis: Axis, distance: str):
    source = victim()
    x = craft(attack(source, axis=axis, distance=distance, steps=5), source, ASKED, Streams(0))
    sign = torch.rand(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(1)) - 0.5
    noise = (ASKED.images + 8 / 255 * sign.sign()).clamp(0, 1)
    assert bool((far(source, x) < far(source, noise) - 0.02).all())


def test_the_best_on_the_way_is_no_worse_than_the_last_and_only_who_stands_is_tried_again():
    source, wide = victim(), 32 / 255
    last, best, twice = (
        craft(attack(source, eps=wide, **how), source, ASKED, Streams(0))
        for how in ({}, {"keep": "best"}, {"restarts": 2})
    )
    assert bool((far(source, best) <= far(source, last)).all())
    moved = far(source, last) <= 0.5
    assert moved.tolist() == [False, True]
    assert (twice == last).flatten(1).all(1).tolist() == moved.tolist()


def test_labels_play_no_part():
    source = victim()
    other = replace(ASKED, labels=(ASKED.labels + 1) % 7)
    made = attack(source)
    assert torch.equal(*(craft(made, source, each, Streams(0)) for each in (ASKED, other)))


def test_an_ensembles_feature_is_moved_in_each_member():
    members = victim("vit"), victim("pit", 1)
    both = ensemble(members)
    alone = ensemble(members[:1])
    x = craft(attack(both), both, ASKED, Streams(0))
    one, other = (far(member, x) for member in members)
    torch.testing.assert_close(far(both, x), (one + other) / 2)
    on_one = craft(attack(alone), alone, ASKED, Streams(0))
    torch.testing.assert_close(on_one, craft(attack(members[0]), members[0], ASKED, Streams(0)))


def test_where_there_is_no_feature_it_is_said():
    with pytest.raises(MissingSite, match="feature"):
        attack(victim()).init(sparse("ats"), ASKED, Streams(0))
    assert "no feature to judge by" in str(FeatureMoved().lacks(sparse("avit").spec))
    pit = victim("pit")
    with pytest.raises(UnsupportedModel, match="single token"):
        craft(attack(pit, axis="token"), pit, ASKED, Streams(0))


def test_a_cosine_of_8_bit_mantissas_is_taken_in_32():
    coarse = A.bfloat16(), (A + 0.01 * B).bfloat16()
    assert cosine(*coarse).dtype == torch.float32
    assert torch.equal(cosine(*coarse), cosine(*(x.float() for x in coarse)))
