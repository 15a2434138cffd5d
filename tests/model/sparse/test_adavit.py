"""Laws of the decision networks (spec 3 and 8.1)."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from engine.core.errors import EngineError
from engine.model.sparse import AdaViT, Decisions, SparseViT, cost, layout_of
from engine.model.sparse import host as adapter
from engine.model.sparse.adavit import binarise, masked_block
from engine.model.victim import Tap

NOBODY = Tap((), (), ())
Host = Callable[..., VisionTransformer]
EXACT = 1e-12  # float64 rounding through a few blocks is about 1e-15


def decided(gates: object) -> Decisions:
    assert isinstance(gates, Decisions)
    return gates


def biased(backbone: VisionTransformer, bias: float) -> SparseViT:
    made = AdaViT(layout_of(backbone)).double()
    for name, parameter in made.named_parameters():
        if name.endswith("bias"):
            nn.init.constant_(parameter, bias)
    return SparseViT(backbone, made)


def test_all_on_is_the_dense_model(host: Host, images: Tensor) -> None:
    backbone = host(init_values=0.5, qk_norm=True)
    logits, trace = biased(backbone, 9.0).trace(images)
    torch.testing.assert_close(logits, backbone(images), atol=EXACT, rtol=0)
    assert (cost.utilisation(trace) == 1).all()
    deciding = 3 * (64 + 3 + 2) * 24
    assert (cost.macs(trace) == cost.dense_macs(trace.layout) + deciding).all()


def test_all_off_leaves_the_first_block_only(host: Host, images: Tensor) -> None:
    backbone = host()
    logits, trace = biased(backbone, -9.0).trace(images)
    once = backbone.blocks[0](adapter.embed(backbone, images))
    torch.testing.assert_close(logits, adapter.classify(backbone, once), atol=EXACT, rtol=0)
    assert (cost.utilisation(trace) == 0).all()


def ones(b: int, *, tokens: int = 65) -> tuple[Tensor, Tensor, Tensor]:
    return torch.ones(b, tokens).double(), torch.ones(b, 3).double(), torch.ones(b, 2).double()


def test_a_dropped_token_rides_the_residual_and_is_not_read(host: Host, images: Tensor) -> None:
    backbone = host()
    block = adapter.blocks_of(backbone)[1]
    x = adapter.embed(backbone, images)
    token, head, sublayer = ones(5)
    token[:, 11] = 0
    out = masked_block(block, x, block.norm1(x), token, head, sublayer, NOBODY, 0)
    assert torch.equal(out[:, 11], x[:, 11])
    others = [j for j in range(65) if j != 11]
    torch.testing.assert_close(out[:, others], block(x[:, others]), atol=EXACT, rtol=0)


def test_off_sublayers_are_the_identity_and_off_heads_are_silent(
    host: Host, images: Tensor
) -> None:
    backbone = host()
    block = backbone.blocks[1]
    typed = adapter.blocks_of(backbone)[1]
    x = adapter.embed(backbone, images)
    normed = block.norm1(x)
    token, head, sublayer = ones(5)
    assert torch.equal(masked_block(typed, x, normed, token, head, sublayer * 0, NOBODY, 0), x)
    head[:, 1] = 0
    out = masked_block(typed, x, normed, token, head, sublayer, NOBODY, 0)
    block.attn.proj.weight.data[:, 8:16] = 0
    torch.testing.assert_close(out, block(x), atol=EXACT, rtol=0)


def test_off_decisions_have_a_gradient(host: Host, images: Tensor) -> None:
    model = biased(host(), -1.0)
    logits, trace = model.trace(images)
    decided_ = decided(trace.gates)
    assert not any(kind.any() for kind in vars(decided_.hard).values())
    usage = sum(kind.mean() for kind in vars(decided_.hard).values())
    (logits.square().sum() + usage).backward()
    for name, parameter in model.sparsifier.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_hard_values_are_zero_or_one_and_carry_the_soft_gradient() -> None:
    logit = torch.linspace(-3, 3, 21).double().requires_grad_()
    made = binarise(logit, threshold=0.6)
    assert torch.equal(made.hard, (torch.sigmoid(logit) > 0.6).double())
    (gradient,) = torch.autograd.grad(made.hard.sum(), logit)
    torch.testing.assert_close(gradient, (made.soft * (1 - made.soft)).detach())


@pytest.mark.parametrize(("token_bias", "bias"), [(3.0, 1.0), (0.0, -1.0)])
def test_sampled_decisions_are_on_with_the_chance_of_the_formula(
    host: Host, token_bias: float, bias: float
) -> None:
    backbone = host()
    model = biased(backbone, bias)
    for name, parameter in model.sparsifier.named_parameters():
        if name.endswith("token.bias"):
            nn.init.constant_(parameter, token_bias)
    images = torch.zeros(150, 3, 32, 32).double()
    trace = model.trace(images, generator=torch.Generator().manual_seed(8))[1]
    hard = decided(trace.gates).hard
    shift = 5.0 * math.log(0.6 / 0.4)
    for kind, logit in (
        (hard.tokens, token_bias - shift),
        (hard.heads, bias),
        (hard.sublayers, bias),
    ):
        chance = 1 / (1 + math.exp(-logit))
        deviation = math.sqrt(chance * (1 - chance) / kind.numel())
        assert abs(kind.mean().item() - chance) < 4 * deviation


def test_fresh_deciders_start_mostly_on_sampled_or_not(host: Host, images: Tensor) -> None:
    backbone = host()
    model = SparseViT(backbone, AdaViT(layout_of(backbone)).double())
    assert (cost.utilisation(model.trace(images)[1]) == 1).all()
    sampled = model.trace(images, generator=torch.Generator().manual_seed(9))[1]
    on = decided(sampled.gates).hard.tokens.mean().item()
    assert on == pytest.approx(1 / (1 + math.exp(-1)), abs=0.06)  # 4 deviations of 960 draws


def test_noise_comes_from_the_generator_alone(host: Host, images: Tensor) -> None:
    model = biased(host(), 0.5)
    drawn = [model.trace(images, generator=torch.Generator().manual_seed(s))[0] for s in (1, 1, 2)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_without_noise_the_sigmoid_decides(host: Host, images: Tensor) -> None:
    model = biased(host(), 0.3)
    trace = model.trace(images)[1]
    soft = decided(trace.gates).soft
    torch.testing.assert_close(soft.heads, torch.full_like(soft.heads, 1 / (1 + math.exp(-0.3))))
    assert not decided(trace.gates).hard.tokens.any()  # sigmoid(.3) = .574 <= .6
    assert decided(trace.gates).hard.heads.all()


def test_gradient_of_soft_decisions(host: Host) -> None:
    backbone = host(depth=2, img_size=8, embed_dim=6)
    model = biased(backbone, 1.0)
    draw = torch.Generator().manual_seed(10)
    for parameter in model.sparsifier.parameters():
        nn.init.normal_(parameter, std=0.5, generator=draw)
    image = torch.randn(2, 3, 8, 8, generator=draw).double().requires_grad_()

    def read(x: Tensor) -> tuple[Tensor, ...]:
        return tuple(vars(decided(model.trace(x)[1].gates).soft).values())

    assert torch.autograd.gradcheck(read, image, fast_mode=True)


@pytest.mark.parametrize("start", [0, 1, 3])
def test_decisions_start_where_asked(host: Host, images: Tensor, start: int) -> None:
    backbone = host()
    model = SparseViT(backbone, AdaViT(layout_of(backbone), start=start).double())
    trace = model.trace(images)[1]
    assert trace.sparse == tuple(range(start, 4))
    assert decided(trace.gates).hard.tokens.shape == (4 - start, 5, 64)
    assert trace.keep.shape == (4, 5, 65)
    assert torch.equal(trace.soft > 0.6, trace.keep)


def test_deciders_of_another_model_are_refused(host: Host) -> None:
    with pytest.raises(EngineError, match="deciders"):
        SparseViT(host(), AdaViT(layout_of(host(depth=3))))
    with pytest.raises(EngineError, match="start at 4"):
        AdaViT(layout_of(host()), start=4)
