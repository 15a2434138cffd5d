"""Laws of QuantAttack's parts and of the whole (spec A3-A5, C7 A 12), against loops from the spec."""

from __future__ import annotations

import weakref
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from engine.alter.quantize.int8 import Int8
from engine.alter.quantize.peaks import Peaks
from engine.attack.attack import Info, Watch, craft, observe, run
from engine.attack.chain import Chain
from engine.attack.ensemble import Gathered, Together
from engine.attack.moment import Moment
from engine.attack.objective import Weighted
from engine.attack.quant_objective import ActivationNorm, KeepLogits, RaiseOutliers, Smoothness
from engine.attack.recipes.pgd import PGD
from engine.attack.recipes.quantattack import QuantAttack
from engine.attack.recipes.sponge import Sponge
from engine.attack.region import Region
from engine.attack.universal import Training, Universal, load
from engine.core.errors import CorruptWeights, EngineError
from engine.core.streams import Streams
from engine.model.sites import Address, Site
from engine.model.victim import Forward, Victim
from tests.tiny import task, victim

EPS = 8 / 255
SOURCE = victim()
ASKED = task(3)
THRESHOLD = Peaks.of(SOURCE, ASKED.images).threshold_for(0.05)
HERE = Moment(0, 1, ASKED)


def seen(x: Tensor, source: Victim = SOURCE) -> Forward:
    return observe(source, x, frozenset({Site.LINEAR_IN}))


def made_up(b: int = 3, seed: int = 0) -> Forward:
    """Inputs of four layers, two of each width, around the band."""
    gen = torch.Generator().manual_seed(seed)
    widths = {"qkv": 5, "proj": 5, "fc1": 5, "fc2": 9}
    values = {
        Address(Site.LINEAR_IN, block, slot): 4 * torch.randn(b, 7, k, generator=gen).double()
        for block in range(2)
        for slot, k in widths.items()
    }
    return Forward(torch.zeros(b, 3, 4, 4), torch.zeros(b, 7), values, {})


def published(out: Forward, threshold: float) -> list[float]:
    """Spec A3, the code form, b to f, with plain loops; one picture at a time."""
    losses: list[float] = []
    for picture in range(len(out.images)):
        groups: dict[int, list[float]] = {}
        for x in out.seen.values():
            kept = groups.setdefault(x.shape[-1], [])
            for column in x[picture].T.tolist():
                top = sorted((abs(v) for v in column), reverse=True)[:4]
                low, high = 2 / 6 * threshold, 7 / 6 * threshold
                kept += [(v - 70 / 6 * threshold) ** 2 for v in top if low < v < high]
        losses.append(sum(sum(kept) / len(kept) for kept in groups.values() if kept))
    return losses


@pytest.mark.parametrize("threshold", [6.0, 3.0])
def test_the_code_form_is_the_published_loss(threshold: float):
    out = made_up()
    found = -RaiseOutliers(threshold)(out, HERE)
    assert found.tolist() == pytest.approx(published(out, threshold), rel=1e-12)


def test_the_paper_form_averages_what_is_below_the_threshold_over_layers():
    out = made_up()
    for picture, found in enumerate((-RaiseOutliers(6.0, "paper")(out, HERE)).tolist()):
        layers: list[float] = []
        for x in out.seen.values():
            top = x[picture].abs().topk(4, 0).values.flatten().tolist()
            below = [(v - 70) ** 2 for v in top if v < 6]
            layers.append(sum(below) / len(below))
        assert found == pytest.approx(sum(layers) / len(layers), rel=1e-12)


def test_the_count_form_becomes_the_count_as_values_leave_the_threshold():
    out = made_up()
    values = {at: torch.where(x.abs() >= 6, 60 * x.sign(), x / 60) for at, x in out.seen.items()}
    out = replace(out, seen=values)
    count = sum((x.abs().amax(1) >= 6).sum(1) for x in values.values())
    found = RaiseOutliers(6.0, "count")(out, HERE)
    # sigmoid(-10) = 5e-5 for each of 48 columns
    torch.testing.assert_close(found, torch.as_tensor(count).double(), rtol=0, atol=3e-3)


def test_a_picture_without_values_in_the_band_gives_no_gradient_and_disturbs_no_other():
    out = made_up(2)
    quiet = {at: torch.cat((x[:1] * 0, x[1:])).requires_grad_() for at, x in out.seen.items()}
    loss = RaiseOutliers()(replace(out, seen=quiet), HERE)
    assert loss[0].item() == 0
    loss.sum().backward()
    assert all(bool((x.grad[0] == 0).all()) for x in quiet.values() if x.grad is not None)
    torch.testing.assert_close(loss[1:], RaiseOutliers()(out, HERE)[1:])


@pytest.mark.parametrize("form", ["code", "paper", "count"])
def test_gradients_are_those_of_finite_differences(form: str):
    base = made_up(1)
    at = Address(Site.LINEAR_IN, 0, "qkv")

    def loss(x: Tensor) -> Tensor:
        return RaiseOutliers(6.0, form)(replace(base, seen={**base.seen, at: x}), HERE)  # pyright: ignore

    assert torch.autograd.gradcheck(loss, base.seen[at].clone().requires_grad_())


def test_logits_smoothness_and_norm_are_their_formulas():
    x = ASKED.images
    clean = seen(x)
    moved = replace(clean, logits=clean.logits + torch.arange(7.0))
    at = Moment(0, 1, ASKED, clean)
    assert KeepLogits()(moved, at).tolist() == pytest.approx(
        [-sum(i * i for i in range(7)) / 7] * 3
    )
    rough = [
        -float((p[:, :, 1:] - p[:, :, :-1]).abs().mean() + (p[:, 1:] - p[:, :-1]).abs().mean())
        for p in x
    ]
    assert Smoothness()(clean, at).tolist() == pytest.approx(rough)
    norms = [sum(float(v[i].norm()) for v in clean.seen.values()) for i in range(3)]
    assert ActivationNorm()(clean, at).tolist() == pytest.approx(norms)


def test_12_without_class_and_smoothness_the_loss_is_the_outlier_loss():
    alone = QuantAttack(threshold=THRESHOLD, class_weight=0.0, smooth_weight=0.0).build(SOURCE.spec)
    at = Moment(0, 1, ASKED)
    found = alone.gradient(SOURCE, ASKED.images, at, Streams(0).at("x"), Watch())
    expected = RaiseOutliers(THRESHOLD)(seen(ASKED.images), at)
    torch.testing.assert_close(found.loss, expected, rtol=1e-12, atol=0)
    assert not alone.objective.wants_clean
    whole = QuantAttack(threshold=THRESHOLD).build(SOURCE.spec).objective
    assert isinstance(whole, Weighted)
    assert [weight for weight, _ in whole.terms] == [1.0, 50.0, 0.01]


@pytest.mark.parametrize(("form", "times"), [("code", 1.05), ("count", 2)])
def test_12_columns_rise_above_clean_noise_and_pgd(form: str, times: float):
    recipe = QuantAttack(steps=20, threshold=THRESHOLD, form=form, class_weight=1.0)
    attack = recipe.build(SOURCE.spec)
    losses = [float(info.loss.mean()) for _, info in run(attack, SOURCE, ASKED, Streams(0))]
    assert sum(losses[-5:]) > sum(losses[:5])
    x = craft(attack, SOURCE, ASKED, Streams(0))
    noise = attack.constraint.sample(ASKED.images, Streams(0).at("noise"))
    pgd = craft(PGD(steps=10).build(SOURCE.spec), SOURCE, ASKED, Streams(0))
    counts = [
        int(Peaks.of(SOURCE, each).total(THRESHOLD).sum()) for each in (ASKED.images, noise, pgd, x)
    ]
    assert counts[3] > times * max(counts[:3]), counts


def test_crafting_through_the_int8_model_follows_almost_the_same_gradient():
    made = Int8(THRESHOLD)(SOURCE)
    attack = QuantAttack(threshold=THRESHOLD, class_weight=0.0).build(SOURCE.spec)
    slopes = [
        attack.gradient(source, ASKED.images, HERE, Streams(0).at("x"), Watch()).g.flatten()
        for source in (SOURCE, made)
    ]
    assert float(torch.cosine_similarity(*slopes, 0)) > 0.9
    x = craft(replace(attack, steps=5), made, ASKED, Streams(0))
    assert float(attack.constraint.distance(x, ASKED.images).max()) > 0


def test_steps_follow_the_cosine_the_restarts_or_nothing():
    def sizes(schedule: str, steps: int, at: list[int]) -> list[float]:
        attack = QuantAttack(steps=steps, schedule=schedule).build(SOURCE.spec)
        one, state = torch.ones(1, 3, 1, 1), attack.update.init(ASKED.images)
        return [
            float(attack.update.apply(one, state, Moment(s, steps, ASKED))[0].max()) for s in at
        ]

    half = (0.002 + 1e-5) / 2
    assert sizes("cosine", 300, [0, 150, 300]) == pytest.approx([0.002, half, 0.002])
    assert sizes("cosine", 300, [299])[0] < 1.1e-5
    assert sizes("restarts", 3000, [0, 500, 1000, 1500]) == pytest.approx([0.002, half] * 2)
    assert sizes("constant", 300, [0, 299]) == pytest.approx([0.002] * 2)


def test_a_normalised_budget_is_a_pixel_budget_times_the_deviation():
    made = QuantAttack(eps=16 / 255, eps_space="normalised", steps=60).build(SOURCE.spec)
    still = Region((0.1, 0.2, 0.3))
    assert made.constraint == Region(tuple(16 / 255 * s for s in SOURCE.spec.std))  # pyright: ignore
    x0 = torch.full((1, 3, 4, 4), 0.5)
    moved = still.project(x0 + 1, x0) - x0
    assert moved[0, :, 0, 0].tolist() == pytest.approx([0.1, 0.2, 0.3])


@pytest.mark.parametrize(
    ("where", "size", "pixels"), [("corner", 8, 64), ("dots", 2, 16), ("dots", 4, 64)]
)
def test_masks_leave_all_else_untouched(where: str, size: int, pixels: int):
    attack = QuantAttack(
        steps=2, threshold=THRESHOLD, mask=where, mask_size=size, step_size=1.0
    ).build(SOURCE.spec)
    x = craft(attack, SOURCE, ASKED, Streams(0))
    changed = (x != ASKED.images).any(0).any(0)
    reach = attack.constraint.reach(x)[0, 0] > 0  # pyright: ignore
    assert int(reach.sum()) == pixels
    assert bool(changed.any())
    assert not bool((changed & ~reach).any())


def test_a_sponge_enlarges_activations():
    attack = Sponge(steps=20).build(SOURCE.spec)
    x = craft(attack, SOURCE, ASKED, Streams(0))
    before, after = (ActivationNorm()(seen(each), HERE) for each in (ASKED.images, x))
    assert bool((after > before).all())


TRAINING = Training(eps=EPS, step=0.004, epochs=4, batch=2)


def objective() -> Chain:
    return QuantAttack(threshold=THRESHOLD, form="count", class_weight=0.1).build(SOURCE.spec)


def test_a_universal_perturbation_is_bounded_and_works_on_unseen_pictures():
    asked, fresh = task(8), task(8, seed=9).images
    events = [*TRAINING(objective(), SOURCE, asked, Streams(0))]
    first, last = ([each.loss for each in events if each.epoch == e] for e in (0, 3))
    assert sum(last) > sum(first)
    end = events[-1]
    assert float(end.made.delta.abs().max()) <= EPS
    x = end.made.apply(fresh)
    assert 0 <= float(x.min())
    assert float(x.max()) <= 1
    gen = Streams(1).at("noise")
    noise = (fresh + EPS * (torch.rand(fresh.shape, generator=gen) * 2 - 1).sign()).clamp(0, 1)
    counts = [int(Peaks.of(SOURCE, each).total(THRESHOLD).sum()) for each in (noise, x)]
    assert counts[1] > counts[0]


def test_a_universal_file_or_picture_that_does_not_fit_is_refused(tmp_path: Path):
    (tmp_path / "x.safetensors").write_bytes(b"nothing")
    with pytest.raises(CorruptWeights):
        load(tmp_path / "x.safetensors")
    with pytest.raises(EngineError):
        Universal(torch.zeros(3, 8, 8), EPS, "vit").apply(ASKED.images)


def test_an_ensemble_of_one_model_is_that_model_and_of_two_serves_both():
    other = victim(seed=3)
    attack = QuantAttack(steps=12, threshold=THRESHOLD, class_weight=0.0).build(SOURCE.spec)

    def together(*others: Victim, every: bool = True) -> list[tuple[Gathered, Info]]:
        return [*run(Together(attack, others, every), SOURCE, ASKED, Streams(0))]

    # the same direction, whose sign a scale does not change
    assert torch.equal(together()[-1][0].x, craft(attack, SOURCE, ASKED, Streams(0)))
    both = together(other)[-1][0]
    assert both.ran == (0, 1)
    assert float(attack.constraint.distance(both.x, ASKED.images).max()) <= EPS + 1e-12
    for source in (SOURCE, other):
        before = attack.objective(seen(ASKED.images, source), HERE)
        after = attack.objective(seen(both.x, source), HERE)
        assert float(after.mean()) > float(before.mean())
    assert {state.ran for state, _ in together(other, every=False)} == {(1,), (0, 1)}
    with pytest.raises(EngineError):
        together(replace(other, spec=replace(other.spec, input_size=9)))


def test_what_the_objective_saw_is_freed_with_the_step():
    attack = QuantAttack(threshold=THRESHOLD).build(SOURCE.spec)
    at = Moment(0, 1, ASKED, seen(ASKED.images))
    found = attack.gradient(SOURCE, ASKED.images, at, Streams(0).at("x"), Watch())
    kept = [weakref.ref(x) for x in found.out.seen.values()]
    assert all(ref() is not None for ref in kept)
    del found
    assert all(ref() is None for ref in kept), "inputs of every layer stay alive at every step"
