from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from small_training import small_vit
from torch import Tensor, nn

from engine.alter.saturated import Saturated as SaturatedVictim
from engine.core.streams import Streams
from engine.train import losses
from engine.train.adversarial import Mart, Robust, Trades
from engine.train.awp import WeightPerturbed
from engine.train.classify import Saturated
from engine.train.network import Network, frozen
from engine.train.pgd import PGD
from engine.train.pictures import Pictures
from engine.train.recipe import HALF, Target, Turn
from engine.train.robustness import robustness
from engine.train.scaling import ScaledRobust
from engine.train.temper import folded, pull_scales, read_scales, tempered

INNER = PGD(eps=8 / 255, step=4 / 255, steps=3)
NEAR = replace(INNER, start="near")
PGD_AT = Robust(INNER, INNER)
FIRST = Turn(0, 0, 0.0, Streams(0))


def network() -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        body = small_vit("small_vit")
        for parameter in body.parameters():  # timm's start is nearly linear; make it bite
            parameter.data += 0.05 * torch.randn(parameter.shape)
    return Network(body, HALF, HALF).eval()


def pixels(count: int = 4) -> Tensor:
    return torch.rand(count, 3, 32, 32, generator=Streams(0).at("pixels"))


def target(count: int = 4) -> Target:
    labels = torch.eye(2)[torch.arange(count) % 2]
    return Target(labels, labels, labels)


def state(net: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def same(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("inner", [INNER, NEAR], ids=lambda inner: inner.start)
def test_every_iterate_stays_in_the_ball_and_the_box(inner: PGD):
    images = pixels()
    for x in inner.iterates(lambda x: x.sum(), images, Streams(0).at("noise")):
        # One float32 rounding of x + eps.
        assert (x - images).abs().max() <= INNER.eps + 1e-7
        assert x.min() >= 0
        assert x.max() <= 1


def test_on_a_linear_loss_it_reaches_the_corner():
    images = pixels().clamp(0.2, 0.8)
    slopes = torch.randn(images.shape, generator=Streams(0).at("slopes"))
    x = PGD(8 / 255, 8 / 255, 3).attack(lambda x: (x * slopes).sum(), images, Streams(0).at("n"))
    torch.testing.assert_close(x, images + 8 / 255 * slopes.sign())


METHODS = {
    "pgd_at": PGD_AT,
    "trades": Trades(NEAR, INNER),
    "mart": Mart(INNER, INNER),
    "awp": WeightPerturbed(Trades(NEAR, INNER), gamma=0.01),
}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_a_loss_leaves_weights_gradients_and_the_training_mode(method: Robust | WeightPerturbed):
    net = network().train()
    before = state(net)
    loss = method.loss(net, pixels(), target(), FIRST)
    assert net.training
    assert same(before, state(net))
    assert all(parameter.grad is None for parameter in net.parameters())
    loss.backward()
    assert all(parameter.grad is not None for parameter in net.parameters())


def test_what_trades_crafts_moves_the_answer_further_than_where_it_began():
    net, images = network(), pixels()
    method = Trades(NEAR, INNER)
    moved = method.ascended(net, images, target())
    with torch.no_grad():  # KL of an answer to itself: float32 rounding of two logarithms
        assert moved(images).abs() < 1e-6
    crafted = method.craft(net, images, target(), FIRST)
    noise = images + (8 / 255) * (2 * pixels() - 1).sign()
    assert moved(crafted) > moved(noise.clamp(0, 1)) > 0


def test_weights_are_perturbed_as_by_a_step_on_a_copy():
    """The loop of Wu et al.: a proxy takes a step of SGD, its difference is rescaled layer by layer."""
    net, images, gamma, method = network(), pixels(), 0.3, METHODS["mart"]
    assert isinstance(method, Mart)
    crafted = method.craft(net, images, target(), FIRST)
    proxy, moved = copy.deepcopy(net), copy.deepcopy(net)
    step = torch.optim.SGD(proxy.parameters(), lr=0.01)
    (-method.learned(proxy, images, crafted, target())).backward()
    step.step()
    for (name, old), new, into in zip(
        net.named_parameters(), proxy.parameters(), moved.parameters(), strict=True
    ):
        if old.ndim > 1 and "weight" in name:
            difference = (new - old).detach()
            into.data += gamma * old.detach().norm() / difference.norm() * difference
    method.learned(moved.train(), images, crafted, target()).backward()
    WeightPerturbed(method, gamma).loss(net, images, target(), FIRST).backward()
    for own, expected in zip(net.parameters(), moved.parameters(), strict=True):
        # The proxy's difference of two float32 weights keeps few digits of a step of 0.01 g.
        torch.testing.assert_close(own.grad, expected.grad, rtol=0.02, atol=1e-3)


def test_weights_are_left_alone_until_their_time():
    method = WeightPerturbed(PGD_AT, gamma=0.3, since=0.5)
    net, images = network(), pixels()
    found = [
        each.loss(net, images, target(), Turn(0, 0, progress, Streams(0))).detach()
        for each, progress in ((PGD_AT, 0.0), (method, 0.0), (method, 0.5))
    ]
    assert found[0] == found[1] < found[2]


def test_a_scale_of_one_is_the_identity():
    net, images = network(), pixels()
    x = net.normalise(images)
    assert torch.equal(tempered(copy.deepcopy(net.body))(x), net.body(x))


def test_folding_a_scale_into_q_equals_running_with_it():
    net, images = network(), pixels()
    vit = tempered(net.body)
    pull_scales(vit, torch.tensor([0.9, 0.5, 0.01]), 1.0)
    x = net.normalise(images)
    plain = folded(vit)
    small_vit("small_vit").load_state_dict(plain.state_dict())
    # The scale multiplies weights instead of queries: float32 roundings through three blocks.
    torch.testing.assert_close(plain(x), vit(x), rtol=0, atol=1e-5)


def test_a_network_that_starts_saturated_is_the_saturated_alteration():
    net, images, method = network(), pixels(), Saturated(30.0)
    victim = frozen(net, lambda body: body, 32)
    sharp = Network(method.wrap(copy.deepcopy(net.body)), HALF, HALF)
    # Float32 roundings, multiplied by 30 in each of three blocks.
    torch.testing.assert_close(
        sharp(images), SaturatedVictim(30.0)(victim).logits(images), rtol=0, atol=1e-3
    )
    method.loss(sharp, images, target(), FIRST).backward()
    rows = [block.attn.qkv.weight.grad.split(16)[:2] for block in sharp.body.blocks]
    assert not any(half.any() for halves in rows for half in halves)
    shipped = method.finished(sharp.body)
    small_vit("small_vit").load_state_dict(shipped.state_dict())
    shipped.zero_grad()
    sharp(images).sum().backward()
    assert shipped.blocks[0].attn.qkv.weight.grad[:16].any()


def test_scales_move_only_in_their_epochs():
    method, net = ScaledRobust(METHODS["awp"], gap=2, batches=1, pull=0.5), network()
    tempered(net.body)
    weights = {name: t for name, t in state(net).items() if "q_norm" not in name}

    def moved(epoch: int, step: int) -> bool:
        before = read_scales(net.body)
        method.loss(net, pixels(), target(), Turn(epoch, step, 0.0, Streams(0)))
        return not torch.equal(before, read_scales(net.body))

    assert [moved(*place) for place in ((0, 0), (1, 0), (2, 1))] == [False] * 3
    assert moved(2, 0)
    scales = read_scales(net.body)
    assert scales.min() >= 1e-7
    assert scales.max() <= 1
    assert same(weights, {name: t for name, t in state(net).items() if "q_norm" not in name})
    assert all(parameter.requires_grad for parameter in net.parameters())


def test_the_ascent_of_training_starts_from_the_scales_that_are_there():
    method, net = ScaledRobust(PGD_AT, gap=1, steps=1, rate=0.0, spread=0.0), network()
    tempered(net.body)
    there = torch.tensor([0.9, 0.5, 0.2])
    pull_scales(net.body, there, 1.0)
    torch.testing.assert_close(method.goal(net, pixels(), FIRST), there)


def test_robustness_falls_with_eps_and_aas_never_raises_it():
    net = network()
    images = (pixels(16) * 255).to(torch.uint8)
    labels = net(images.float() / 255).argmax(1)
    before = state(net)
    found = [
        robustness(net, Pictures(images, labels), PGD(eps, eps / 4, 3))
        for eps in (0.0, 0.5 / 255, 0.3)
    ]
    plain = [each["pgd3_accuracy"] for each in found]
    assert plain[0] == 1
    assert plain[0] >= plain[1] >= plain[2]
    assert all(each["pgd3_aas_accuracy"] <= each["pgd3_accuracy"] for each in found)
    assert same(before, state(net))


LOSSES = {
    "cross_entropy": lambda clean, crafted, y: losses.cross_entropy(crafted, y),
    "trades": lambda clean, crafted, y: losses.trades(clean, crafted, y, 6.0),
    "mart": lambda clean, crafted, y: losses.mart(clean, crafted, y, 5.0),
}


def logits() -> tuple[Tensor, Tensor, Tensor]:
    gen = Streams(0).at("logits")
    clean, crafted = (3 * torch.randn(5, 4, generator=gen, dtype=torch.float64) for _ in range(2))
    return clean.requires_grad_(), crafted.requires_grad_(), torch.eye(4).double()[[0, 3, 1, 2, 3]]


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_the_slope_of_a_loss_is_its_own(loss):
    clean, crafted, y = logits()
    assert torch.autograd.gradcheck(loss, (clean, crafted, y))


def test_losses_are_those_of_the_papers():
    clean, crafted, y = logits()
    label, p, q = y.argmax(1), clean.softmax(1), crafted.softmax(1)
    torch.testing.assert_close(
        LOSSES["trades"](clean, crafted, y),
        nn.functional.cross_entropy(clean, label)
        + 6 * nn.functional.kl_div(q.log(), p, reduction="batchmean"),
    )
    total = torch.zeros((), dtype=torch.float64)
    for i, right in enumerate(label.tolist()):
        rival = max(float(q[i, j]) for j in range(4) if j != right)
        total += -q[i, right].log() - torch.log(torch.tensor(1 - rival, dtype=torch.float64))
        apart = sum(p[i, j] * (p[i, j].log() - q[i, j].log()) for j in range(4))
        total += 5 * apart * (1 - p[i, right])
    torch.testing.assert_close(LOSSES["mart"](clean, crafted, y), total / 5)
