"""Laws of fixed-ratio pruning: it keeps what a plain loop keeps, and no picture moves its cost."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from engine.core.errors import BadKnob
from engine.model.sparse import SparseViT, TopK, cost
from engine.model.sparse import host as adapter

EXACT = 1e-12
Host = Callable[..., VisionTransformer]


@pytest.mark.parametrize("keep", [0.3, 0.7, 1.0])
def test_logits_equal_a_plain_loop(host: Host, images: Tensor, keep: float) -> None:
    backbone = host(reg_tokens=1)
    logits, trace = SparseViT(backbone, TopK((1, 3), keep=keep)).trace(images)
    for number in range(len(images) - 1):  # the last picture is flat: ranks hang on rounding
        x = adapter.embed(backbone, images[number : number + 1])
        for place, block in enumerate(backbone.blocks):
            x = plain_block(block, x, keep) if place in (1, 3) else block(x)
            assert x.shape[1] == trace.n_out[place, number]
        torch.testing.assert_close(
            adapter.classify(backbone, x)[0], logits[number], atol=EXACT, rtol=0
        )


def plain_block(block: torch.nn.Module, x: Tensor, keep: float) -> Tensor:
    """One image with two prefix tokens, head by head."""
    attn = block.attn
    q, k, v = attn.qkv(block.norm1(x))[0].split(attn.attn_dim, dim=1)
    split = [slice(h * attn.head_dim, (h + 1) * attn.head_dim) for h in range(attn.num_heads)]
    maps = [(q[:, s] @ k[:, s].T / attn.head_dim**0.5).softmax(1) for s in split]
    s = torch.stack([a[0, 2:] for a in maps]).mean(0)
    best = s.topk(math.ceil(round(keep * len(s), 6))).indices + 2
    kept = [0, 1, *sorted(best.tolist())]
    y = torch.cat([a[kept] @ v[:, c] for a, c in zip(maps, split, strict=True)], dim=1)
    x = x[:, kept] + attn.proj(y)
    return x + block.mlp(block.norm2(x))


@pytest.mark.parametrize("keep", [0.01, 0.5, 0.7, 0.95])
def test_no_picture_moves_the_cost(host: Host, images: Tensor, keep: float) -> None:
    """Noise of every size, flat pictures, numbers out of any range: the same to the last operation."""
    pictures = torch.cat((images, 1e3 * images, *(torch.full_like(images[:1], v) for v in (-9, 9))))
    trace = SparseViT(host(), TopK(keep=keep)).trace(pictures)[1]
    assert len(cost.macs(trace).unique()) == 1
    assert int(cost.macs(trace)[0]) < cost.dense_macs(trace.layout)
    left = 64
    for block in trace.sparse:
        left = math.ceil(round(keep * left, 6))
        assert (trace.n_out[block] == left + 1).all()


def test_it_prunes_after_each_quarter(host: Host) -> None:
    assert SparseViT(host(depth=12), TopK()).sparsifier.pruning(
        adapter.layout_of(host(depth=12))
    ) == (3, 6, 9)


def test_keeping_all_is_the_dense_model(host: Host, images: Tensor) -> None:
    backbone = host()
    logits, trace = SparseViT(backbone, TopK(keep=1.0)).trace(images)
    torch.testing.assert_close(logits, backbone(images), atol=EXACT, rtol=0)
    assert (cost.macs(trace) == cost.dense_macs(trace.layout)).all()


def test_the_soft_choice_sums_to_no_more_than_is_kept(host: Host, images: Tensor) -> None:
    trace = SparseViT(host(), TopK(keep=0.5)).trace(images)[1]
    pruned = list(trace.sparse)
    expected = trace.soft[pruned].sum(2)
    assert (expected <= trace.n_out[pruned].double() + 1e-9).all()


@pytest.mark.parametrize("keep", [0.0, -1.0, 1.1])
def test_shares_that_are_none_are_refused(keep: float) -> None:
    with pytest.raises(BadKnob, match="keep"):
        TopK(keep=keep)
