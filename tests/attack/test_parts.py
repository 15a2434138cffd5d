"""The small parts: constraints, updates, objectives."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from engine.attack.attack import craft
from engine.attack.constraint import LinfBall, to_8bit
from engine.attack.moment import Moment
from engine.attack.objective import CrossEntropy, PerturbationNorm, Weighted
from engine.attack.recipes.mifgsm import MIFGSM
from engine.attack.update import chain, mean_abs, momentum, nesterov, scale, sign, smooth
from engine.core.errors import NotFinite
from engine.core.streams import Streams
from engine.model.victim import Forward
from tests.tiny import task, victim

AT = Moment(0, 1, task(2))
seeds = st.integers(0, 10_000)
budgets = st.integers(0, 64).map(lambda n: n / 255)


def pixels(seed: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """An 8-bit picture and a point somewhere around it, also outside the box."""
    gen = torch.Generator().manual_seed(seed)
    x0 = torch.randint(0, 256, (2, 3, 4, 4), generator=gen).to(dtype) / 255
    return x0, x0 + 0.6 * torch.randn(x0.shape, generator=gen).to(dtype)


@given(seeds, budgets)
def test_projection_is_inside_idempotent_and_never_further(seed: int, eps: float):
    x0, x = pixels(seed)
    ball = LinfBall(eps)
    inside = ball.project(x, x0)
    assert float(ball.distance(inside, x0).max()) <= eps + 1e-7
    assert 0 <= float(inside.min())
    assert float(inside.max()) <= 1
    assert torch.equal(ball.project(inside, x0), inside)
    assert bool(((inside - x0).abs() <= (x - x0).abs() + 1e-7).all())
    assert torch.equal(ball.project(x0, x0), x0)


@given(seeds, budgets)
def test_rounding_to_8_bits_stays_in_the_ball_exactly(seed: int, eps: float):
    x0, x = pixels(seed)
    saved = to_8bit(LinfBall(eps).project(x, x0), x0, eps).int()
    original = (x0 * 255).round().int()
    assert int((saved - original).abs().max()) <= round(eps * 255)
    assert torch.equal(to_8bit(x0, x0, eps).int(), original)


@given(seeds, budgets)
def test_samples_lie_in_the_ball(seed: int, eps: float):
    x0, _ = pixels(seed)
    drawn = LinfBall(eps).sample(x0, Streams(seed).at("start"))
    assert float((drawn - x0).abs().max()) <= eps + 1e-7
    assert 0 <= float(drawn.min())
    assert float(drawn.max()) <= 1


def test_mean_abs_is_per_picture_and_survives_a_zero_gradient():
    g = torch.tensor([1.0, -3, 0, 4]).view(1, 1, 2, 2).repeat(2, 1, 1, 1)
    g[1] = 0
    unit, _ = mean_abs().apply(g, (), AT)
    assert unit[0].flatten().tolist() == [0.5, -1.5, 0, 2]
    assert not unit[1].any()


def test_momentum_adds_up():
    part = momentum(0.5)
    g = torch.ones(1, 1, 1, 1)
    state = part.init(g)
    seen = []
    for _ in range(3):
        out, state = part.apply(g, state, AT)
        seen.append(float(out))
    assert seen == [1, 1.5, 1.75]
    assert float(g) == 1


def test_nesterov_looks_ahead_from_the_second_step_on():
    update = chain(mean_abs(), nesterov(0.5, 0.1), sign())
    assert update.ahead is not None
    state = update.init(torch.zeros(1, 1, 1, 1))
    assert update.ahead(state) is None
    _, state = update.apply(torch.full((1, 1, 1, 1), -3.0), state, AT)
    assert float(update.ahead(state)) == pytest.approx(-0.05)
    assert chain(mean_abs(), momentum(0.5)).ahead is None


def test_chain_applies_left_to_right():
    out, _ = chain(scale(-2), sign(), scale(3)).apply(torch.ones(1, 1, 1, 1), ((), (), ()), AT)
    assert float(out) == -3


def test_smoothing_keeps_a_constant_inside_and_colours_apart():
    g = torch.zeros(1, 3, 40, 40)
    g[:, 1] = 1
    out, _ = smooth(15, 3.0).apply(g, (), AT)
    torch.testing.assert_close(out[0, 1, 10:30, 10:30], torch.ones(20, 20))
    assert not out[0, 0].any()
    assert not out[0, 2].any()


def answer(logits: Tensor, images: Tensor | None = None) -> Forward:
    return Forward(task(2).images if images is None else images, logits, {}, {})


@pytest.mark.parametrize("targeted", [False, True])
def test_cross_entropy_gradient(targeted: bool):
    at = Moment(0, 1, task(2, targeted=targeted))
    logits = torch.randn(2, 7, generator=Streams(0).at("z")).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: CrossEntropy()(answer(z), at), (logits,))


def test_norm_gradient_and_its_value_at_the_clean_picture():
    asked = task(2)
    at = Moment(0, 1, asked)
    far = (asked.images + 0.1).requires_grad_()
    norm = PerturbationNorm()
    for x, slope in ((far, 1.0), (asked.images.clone().requires_grad_(), 0.0)):
        value = norm(answer(torch.zeros(2, 7), x), replace(at, x=x))
        (g,) = torch.autograd.grad(value.sum(), x)
        assert float(g[0].norm()) == pytest.approx(slope)
    assert bool(torch.isfinite(g).all())


def test_weighted_sums_per_picture():
    at = Moment(0, 1, task(2))
    out = answer(torch.randn(2, 7, generator=Streams(0).at("z")).double())
    both = Weighted(((1.0, CrossEntropy()), (-2.0, CrossEntropy())))
    torch.testing.assert_close(both(out, at), -CrossEntropy()(out, at))
    assert both.sites == frozenset()
    assert not both.wants_clean


def test_a_broken_model_is_named_not_followed():
    source = victim("vit")
    with torch.no_grad():
        source.module.head.bias[0] = float("nan")
    with pytest.raises(NotFinite, match="step 1"):
        craft(MIFGSM().build(source.spec), source, task(1), Streams(0))
