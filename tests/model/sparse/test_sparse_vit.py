"""Laws of every mechanism: identity, batch independence, compaction, hooks, storage, refusal."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from timm.layers import HybridEmbed
from timm.layers.diff_attention import DiffAttention
from timm.models.deit import VisionTransformerDistilled
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import ParallelScalingBlock, VisionTransformer
from timm.models.vision_transformer_hybrid import ConvStem
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel  # torch 2.11 counts no fused CPU kernel
from torch.utils.flop_counter import FlopCounterMode

from engine.core.errors import EngineError, UnsupportedModel
from engine.model.sparse import (
    ATS,
    AdaViT,
    AViT,
    Dense,
    SparseViT,
    Sparsifier,
    TopK,
    Trace,
    cost,
    layout_of,
)
from engine.model.sparse import (
    host as adapter,
)

EXACT = 1e-12  # float64 rounding through a few blocks is about 1e-15


def ats(_: VisionTransformer) -> Sparsifier:
    return ATS()


def topk(_: VisionTransformer) -> Sparsifier:
    return TopK(keep=0.6)


def avit(_: VisionTransformer) -> Sparsifier:
    return AViT(3.0, -1.0).double()


def adavit(backbone: VisionTransformer) -> Sparsifier:
    made = AdaViT(layout_of(backbone)).double()
    noise = torch.Generator().manual_seed(2)
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.3, generator=noise)
    return made


MECHANISMS = pytest.mark.parametrize("mechanism", [ats, topk, avit, adavit])
Mechanism = Callable[[VisionTransformer], Sparsifier]
Host = Callable[..., VisionTransformer]


def conv_embed(**sizes: Any) -> HybridEmbed:
    return HybridEmbed(ConvStem(channels=(8, 16, 24), depth=3), proj=False, **sizes)


HOSTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "distilled": {"kind": VisionTransformerDistilled},
    "registers": {"reg_tokens": 3, "no_embed_class": True},
    "layer scale, qk norm": {"init_values": 0.5, "qk_norm": True},
    "pre-norm, no biases": {"pre_norm": True, "qkv_bias": False, "proj_bias": False},
    "conv stem": {
        "embed_layer": conv_embed,
        "img_size": 64,
        "patch_size": 1,
    },
    "deep": {"depth": 9},
}
EVERY_HOST = pytest.mark.parametrize("sizes", HOSTS.values(), ids=HOSTS.keys())


def per_image(trace: Trace, number: int) -> list[Tensor]:
    decided = (trace.keep, trace.n_in, trace.n_out, trace.heads, trace.msa, trace.ffn)
    return [each[:, number] for each in decided]


@EVERY_HOST
def test_the_embedding_adapter_is_the_hosts_own(host: Host, sizes: dict[str, Any]) -> None:
    backbone = host(**sizes)
    images = torch.randn(2, 3, *backbone.patch_embed.img_size).double()
    tokens = backbone.norm(backbone.blocks(adapter.embed(backbone, images)))
    assert torch.equal(tokens, backbone.forward_features(images))


@EVERY_HOST
def test_dense_is_the_host_bit_for_bit(host: Host, sizes: dict[str, Any]) -> None:
    backbone = host(**sizes)
    images = torch.randn(2, 3, *backbone.patch_embed.img_size).double()
    logits, trace = SparseViT(backbone, Dense()).trace(images)
    assert torch.equal(logits, backbone(images))
    assert (cost.macs(trace) == cost.dense_macs(trace.layout)).all()
    assert (cost.utilisation(trace) == 1).all()


@MECHANISMS
def test_an_image_fares_alike_alone_and_in_any_batch(
    host: Host, images: Tensor, mechanism: Mechanism
) -> None:
    backbone = host()
    model = SparseViT(backbone, mechanism(backbone))
    logits, trace = model.trace(images)
    assert mechanism is topk or len(trace.n_out.sum(0).unique()) > 1, "mix easy and hard images"
    for number in range(len(images)):
        alone, own = model.trace(images[number : number + 1])
        torch.testing.assert_close(alone[0], logits[number], atol=EXACT, rtol=0)
        for mine, batched in zip(per_image(own, 0), per_image(trace, number), strict=True):
            assert torch.equal(mine, batched)


@MECHANISMS
@EVERY_HOST
def test_compacted_equals_masked_and_the_counter_equals_the_formula(
    host: Host, sizes: dict[str, Any], mechanism: Mechanism
) -> None:
    backbone = host(**sizes)
    model = SparseViT(backbone, mechanism(backbone))
    noise = torch.Generator().manual_seed(3)
    saved = 0
    for _ in range(3):
        image = torch.randn(1, 3, *backbone.patch_embed.img_size, generator=noise).double()
        logits, trace = model.trace(image)
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            compacted = model.compact(image)
        torch.testing.assert_close(compacted, logits, atol=EXACT, rtol=0)
        assert counter.get_total_flops() == 2 * cost.macs(trace).item()
        saved += cost.dense_macs(trace.layout) - cost.macs(trace).item()
    assert saved > 0


@MECHANISMS
def test_counts_are_those_of_the_keep_mask(
    host: Host, images: Tensor, mechanism: Mechanism
) -> None:
    backbone = host()
    trace = SparseViT(backbone, mechanism(backbone)).trace(images)[1]
    assert torch.equal(trace.keep.sum(2), trace.n_out)
    assert (trace.n_out <= trace.n_in).all()
    assert ((trace.soft >= 0) & (trace.soft <= 1)).all()
    assert trace.soft.requires_grad


@MECHANISMS
def test_hooks_on_the_hosts_parts_fire(host: Host, images: Tensor, mechanism: Mechanism) -> None:
    backbone = host()
    model = SparseViT(backbone, mechanism(backbone))
    parts = [p for block in backbone.blocks for p in (block.attn.qkv, block.attn.proj, block.mlp)]
    fired: list[nn.Module] = []
    handles = [p.register_forward_hook(lambda part, *_: fired.append(part)) for p in parts]
    model(images)
    for handle in handles:
        handle.remove()
    assert [*map(id, fired)] == [*map(id, parts)]


@MECHANISMS
def test_train_and_eval_decide_alike_without_a_generator(
    host: Host, images: Tensor, mechanism: Mechanism
) -> None:
    backbone = host()
    model = SparseViT(backbone, mechanism(backbone))
    assert torch.equal(model.train()(images), model.eval()(images))


@MECHANISMS
def test_state_dict_round_trip(host: Host, images: Tensor, mechanism: Mechanism) -> None:
    backbone = host()
    model = SparseViT(backbone, mechanism(backbone))
    stored = model.state_dict()
    assert all(name.startswith(("backbone.", "sparsifier.")) for name in stored)
    fresh = {
        ats: ATS,
        topk: partial(TopK, keep=0.6),
        avit: partial(AViT, 0.0, 0.0),
        adavit: partial(AdaViT, model.layout),
    }[mechanism]()  # pyright: ignore[reportArgumentType]
    other = SparseViT(host(num_classes=5, class_token=True), fresh).double()
    for parameter in other.parameters():
        nn.init.zeros_(parameter)
    other.load_state_dict(stored)
    assert torch.equal(other(images), model(images))


@MECHANISMS
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_finite(
    host: Host, images: Tensor, mechanism: Mechanism, dtype: torch.dtype
) -> None:
    backbone = host()
    model = SparseViT(backbone, mechanism(backbone)).to(dtype)
    assert model(images.to(dtype)).isfinite().all()
    with torch.autocast("cpu", dtype):
        assert model.float()(images.float()).isfinite().all()


@MECHANISMS
def test_padding_and_masking_leave_finite_gradients(
    host: Host, images: Tensor, mechanism: Mechanism
) -> None:
    backbone = host()
    model = SparseViT(backbone, mechanism(backbone))
    images = images.requires_grad_()
    logits, trace = model.trace(images)
    (logits.sum() + trace.soft.sum()).backward()
    assert images.grad is not None
    assert images.grad.isfinite().all()


def test_compact_takes_one_image(host: Host, images: Tensor) -> None:
    with pytest.raises(EngineError, match="one image, not 5"):
        SparseViT(host(), Dense()).compact(images)


UNSUPPORTED: dict[str, tuple[dict[str, Any], str]] = {
    "no class token": ({"class_token": False, "global_pool": "avg"}, "pooling patches"),
    "average pooling": ({"global_pool": "avg"}, "pooling patches"),
    "attention pooling": ({"global_pool": "map"}, "pooling patches"),
    "parallel blocks": ({"block_fn": ParallelScalingBlock}, "ParallelScalingBlock"),
    "differential attention": (
        {"attn_layer": DiffAttention, "embed_dim": 24, "num_heads": 2},
        "DiffAttention",
    ),
    "normalised attention": ({"scale_attn_norm": True}, "gates or normalises"),
    "dynamic size": ({"dynamic_img_size": True}, "fixed set of tokens"),
    "patch dropout": ({"patch_drop_rate": 0.5}, "fixed set of tokens"),
}


@pytest.mark.parametrize(("sizes", "why"), UNSUPPORTED.values(), ids=UNSUPPORTED.keys())
def test_hosts_that_cannot_lose_tokens_are_refused(
    host: Host, sizes: dict[str, Any], why: str
) -> None:
    with pytest.raises(UnsupportedModel, match=why) as refusal:
        SparseViT(host(**sizes), ATS())
    assert refusal.value.hint


def test_gated_attention_is_refused(host: Host) -> None:
    backbone = host()
    backbone.blocks[1].attn.gate = nn.Linear(24, 24)
    with pytest.raises(UnsupportedModel, match="gates or normalises"):
        SparseViT(backbone, ATS())


def test_other_families_are_refused() -> None:
    swin = SwinTransformer(
        img_size=32, patch_size=4, embed_dim=8, depths=(1,), num_heads=(1,), window_size=4
    )
    with pytest.raises(UnsupportedModel, match="SwinTransformer"):
        SparseViT(swin, ATS())  # pyright: ignore[reportArgumentType]
