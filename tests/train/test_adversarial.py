from __future__ import annotations

import copy

import pytest
import torch
from small_training import small_vit
from torch import Tensor

from engine.core.streams import Streams
from engine.train.adversarial import (
    PGD,
    Robust,
    ScaledRobust,
    robustness,
)
from engine.train.network import Network
from engine.train.pictures import Pictures
from engine.train.recipe import HALF, Target, Turn
from engine.train.temper import Scaling, features, folded, read_scales, scaled, tempered

INNER = PGD(eps=8 / 255, step=4 / 255, steps=3)


def network() -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        body = small_vit("small_vit")
        for parameter in body.parameters():  # timm's start is nearly linear; make it bite
            parameter.data += 0.05 * torch.randn(parameter.shape)
    return Network(body, HALF, HALF).eval()


def pixels(count: int = 4) -> Tensor:
    return torch.rand(count, 3, 32, 32, generator=Streams(0).at("pixels"))


def test_every_iterate_stays_in_the_ball_and_the_box():
    images = pixels()
    for x in INNER.iterates(lambda x: x.sum(), images, Streams(0).at("noise")):
        # One float32 rounding of x + eps.
        assert (x - images).abs().max() <= INNER.eps + 1e-7
        assert x.min() >= 0
        assert x.max() <= 1


def test_on_a_linear_loss_it_reaches_the_corner():
    images = pixels().clamp(0.2, 0.8)
    slopes = torch.randn(images.shape, generator=Streams(0).at("slopes"))
    x = PGD(8 / 255, 8 / 255, 3).attack(lambda x: (x * slopes).sum(), images, Streams(0).at("n"))
    torch.testing.assert_close(x, images + 8 / 255 * slopes.sign())


def test_crafting_leaves_no_gradient_and_the_training_mode():
    net, images = network(), pixels()
    net.train()
    labels = torch.eye(2)[[0, 1, 0, 1]]
    target = Target(labels, labels, labels)
    loss = Robust(INNER, INNER).loss(net, images, target, Turn(0, 0, 0.0, Streams(0)))
    assert net.training
    assert all(parameter.grad is None for parameter in net.parameters())
    assert loss.requires_grad


def test_a_scale_of_one_is_the_identity():
    net, images = network(), pixels()
    x = net.normalise(images)
    assert torch.equal(tempered(copy.deepcopy(net.body))(x), net.body(x))


def test_folding_a_scale_into_q_equals_running_with_it():
    net, images = network(), pixels()
    vit = tempered(net.body)
    for block, scale in zip(vit.blocks, (0.9, 0.5, 0.01), strict=True):
        block.attn.q_norm.scale.fill_(scale)
    x = net.normalise(images)
    plain = folded(vit)
    small_vit("small_vit").load_state_dict(plain.state_dict())
    # The scale multiplies weights instead of queries: float32 roundings through three blocks.
    torch.testing.assert_close(plain(x), vit(x), rtol=0, atol=1e-5)


def test_borrowed_scales_are_given_back_even_after_an_error():
    vit = tempered(network().body)

    def fail() -> None:
        with scaled(vit, torch.full((3,), 0.5)):
            assert read_scales(vit).tolist() == [0.5, 0.5, 0.5]
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fail()
    assert read_scales(vit).tolist() == [1, 1, 1]


def test_the_ascent_moves_features_further_than_its_start():
    net = network()
    vit = tempered(net.body)
    x = net.normalise(pixels())

    def distance(scales: Tensor) -> float:
        with torch.no_grad():
            reference = features(vit, x)
            with scaled(vit, scales):
                return float((features(vit, x) - reference).norm(dim=-1).sum(0).mean())

    start = Scaling(steps=0).ascend(net, pixels(), Streams(0).at("s"))
    end = Scaling(steps=10).ascend(net, pixels(), Streams(0).at("s"))
    assert distance(end) > distance(start) > 0
    assert end.min() >= 1e-7
    assert end.max() <= 1


def test_scales_move_only_in_their_epochs():
    method = ScaledRobust(Robust(INNER, INNER), gap=2, batches=1, pull=0.5)
    net = network()
    tempered(net.body)
    labels = torch.eye(2)[[0, 1, 0, 1]]
    target = Target(labels, labels, labels)

    def moved(epoch: int, step: int) -> bool:
        before = read_scales(net.body)
        method.loss(net, pixels(), target, Turn(epoch, step, 0.0, Streams(0)))
        return not torch.equal(before, read_scales(net.body))

    assert not moved(0, 0)
    assert not moved(1, 0)
    assert not moved(2, 1)
    assert moved(2, 0)


def test_robustness_falls_with_eps_and_aas_never_raises_it():
    net = network()
    images = (pixels(16) * 255).to(torch.uint8)
    labels = net(images.float() / 255).argmax(1)
    before = {name: t.clone() for name, t in net.state_dict().items()}
    found = [
        robustness(net, Pictures(images, labels), PGD(eps, eps / 4, 3))
        for eps in (0.0, 0.5 / 255, 0.3)
    ]
    plain = [each["pgd3_accuracy"] for each in found]
    assert plain[0] == 1
    assert plain[0] >= plain[1] >= plain[2]
    assert all(each["pgd3_aas_accuracy"] <= each["pgd3_accuracy"] for each in found)
    after = net.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
