"""Laws of adaptive halting (spec 2 and 8.1)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from timm.layers import HybridEmbed
from timm.models.vision_transformer import VisionTransformer
from timm.models.vision_transformer_hybrid import ConvStem
from torch import Tensor

from engine.model.sparse import AViT, Halting, SparseViT, cost, live_start
from engine.model.sparse import host as adapter
from engine.model.sparse.avit import Ledger, accumulate

Host = Callable[..., VisionTransformer]
EXACT = 1e-12  # float64 rounding through a few blocks is about 1e-15


def book(h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Scores (l, n) of one image -> weights (l, n), rho (n,), executed (l, n)."""
    ledger = Ledger.open(1, h.shape[1], like=h)
    weights, executed = [], []
    for number, each in enumerate(h):
        executed.append(ledger.active[0])
        last = number == len(h) - 1
        ledger, weight = accumulate(ledger, each[None], tau=0.01, last=last)
        weights.append(weight[0])
    return torch.stack(weights), ledger.rho[0], torch.stack(executed)


def halting(trace_gates: object) -> Halting:
    assert isinstance(trace_gates, Halting)
    return trace_gates


def test_toy() -> None:
    weights, rho, executed = book(torch.full((5, 1), 0.4).double())
    torch.testing.assert_close(
        weights[:, 0], torch.tensor([0.4, 0.4, 0.2, 0, 0], dtype=torch.float64)
    )
    torch.testing.assert_close(rho, torch.tensor([3.2], dtype=torch.float64))
    assert executed[:, 0].tolist() == [True, True, True, False, False]


def test_accumulation_equals_a_loop_over_one_token() -> None:
    h = torch.rand(6, 50, generator=torch.Generator().manual_seed(0)).double() * 0.6
    weights, rho, executed = book(h)
    for token in range(50):
        c, spent, depth = 0.0, 0.0, 0
        expected = [0.0] * 6
        for block in range(6):
            depth += 1
            score = 1.0 if block == 5 else h[block, token].item()
            c += score
            if c >= 0.99:
                expected[block] = 1 - spent
                break
            expected[block] = score
            spent += score
        torch.testing.assert_close(weights[:, token], torch.tensor(expected, dtype=torch.float64))
        assert executed[:, token].sum() == depth
        assert rho[token].item() == pytest.approx(depth + 1 - spent)


def test_halting_is_for_good_and_shares_sum_to_one(host: Host, images: Tensor) -> None:
    trace = SparseViT(host(), AViT(3.0, -1.0)).trace(images)[1]
    gates = halting(trace.gates)
    assert (trace.keep[1:] <= trace.keep[:-1]).all()
    assert trace.keep[0].all()
    assert not trace.keep[-1].all()
    torch.testing.assert_close(gates.weights.sum(0), torch.ones(5, 65).double())
    assert (gates.h[~trace.keep] == 0).all()
    assert torch.equal(trace.soft > 0.01, trace.keep)  # tau is left exactly while a token runs
    torch.testing.assert_close(gates.cumulative[2], gates.h[0] + gates.h[1] + gates.h[2])
    depth = trace.keep.sum(0)
    assert depth.min() >= 1
    assert depth.max() <= 4
    assert ((gates.rho > depth) & (gates.rho <= depth + 1)).all()


def test_a_gate_that_never_opens_is_the_dense_model(host: Host, images: Tensor) -> None:
    backbone = host()
    logits, trace = SparseViT(backbone, AViT(1.0, -1e4)).trace(images)
    torch.testing.assert_close(logits, backbone(images), atol=EXACT, rtol=0)
    assert (cost.utilisation(trace) == 1).all()
    assert (cost.macs(trace) == cost.dense_macs(trace.layout)).all()


def test_a_gate_that_is_always_open_halts_all_after_one_block(host: Host, images: Tensor) -> None:
    backbone = host()
    model = SparseViT(backbone, AViT(1.0, 1e4))
    logits, trace = model.trace(images)
    once = backbone.blocks[0](adapter.embed(backbone, images))
    torch.testing.assert_close(logits, adapter.classify(backbone, once), atol=EXACT, rtol=0)
    assert (trace.keep.sum(0) == 1).all()
    torch.testing.assert_close(model.compact(images[:1]), logits[:1], atol=EXACT, rtol=0)


def test_halted_tokens_are_never_read(host: Host, images: Tensor) -> None:
    """Later blocks with other weights for halted rows only would change nothing: spoil the rows."""
    backbone = host()
    model = SparseViT(backbone, AViT(3.0, -1.0))
    logits, trace = model.trace(images)
    block = backbone.blocks[2]
    halted = ~trace.keep[2]
    assert halted.any()

    def spoil(_: object, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (torch.where(halted[..., None], 50.0, args[0]), *args[1:])

    handle = block.register_forward_pre_hook(spoil)
    torch.testing.assert_close(model(images), logits, atol=EXACT, rtol=0)
    handle.remove()


def test_gradients_of_logits_ponder_and_cumulative_scores(host: Host) -> None:
    backbone = host(depth=2, img_size=8, embed_dim=6)
    model = SparseViT(backbone, AViT(2.0, -0.5).double())
    draw = torch.Generator().manual_seed(6)
    image = torch.randn(2, 3, 8, 8, generator=draw).double().requires_grad_()

    def read(x: Tensor) -> tuple[Tensor, ...]:
        logits, trace = model.trace(x)
        gates = halting(trace.gates)
        return logits, gates.rho, gates.cumulative, gates.h

    assert torch.autograd.gradcheck(read, image, fast_mode=True)


@pytest.mark.parametrize("stem", ["patches", "convolutions"])
def test_live_start_executes_everything_and_has_a_ponder_gradient(host: Host, stem: str) -> None:
    sizes: dict[str, object] = {"depth": 6, "init_values": 0.5, "pre_norm": stem == "patches"}
    if stem == "convolutions":
        conv = ConvStem(channels=(8, 16, 24), depth=3)
        sizes |= {"embed_layer": partial(HybridEmbed, backbone=conv, proj=False), "patch_size": 1}
    dense = host(**sizes)
    before = {name: value.clone() for name, value in dense.state_dict().items()}
    model = live_start(dense).train()
    size = dense.patch_embed.img_size
    images = torch.randn(3, 3, *size, generator=torch.Generator().manual_seed(7)).double()
    logits, trace = model.trace(images)
    gates = halting(trace.gates)
    assert trace.keep.all()
    torch.testing.assert_close(gates.h, torch.full_like(gates.h, 1 / 7))
    gates.rho.mean().backward()
    moved = model.backbone.blocks[0].mlp.fc2.weight.grad
    assert moved is not None
    assert moved[0].abs().max() > 1e-4
    assert logits.isfinite().all()
    assert all(torch.equal(value, before[name]) for name, value in dense.state_dict().items())
