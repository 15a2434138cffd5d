"""Costs against published and hand-derived figures (spec 4.8, 4.12, 7)."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel  # torch 2.11 counts no fused CPU kernel
from torch.utils.flop_counter import FlopCounterMode

from engine.model.sparse import Dense, Layout, SparseViT, Trace, cost, layout_of


@pytest.fixture(scope="module")
def deit_small() -> Layout:
    return layout_of(VisionTransformer(embed_dim=384, num_heads=6, device="meta"))


def trace_of(layout: Layout, n_in: list[int], n_out: list[int]) -> Trace:
    """One image; `keep` and `soft` play no part in costs."""
    counts = torch.tensor(n_in)[:, None]
    unread = torch.ones(*counts.shape, layout.tokens)
    return Trace(
        layout=layout,
        sparse=tuple(range(3, 12)),
        keep=unread.bool(),
        soft=unread,
        n_in=counts,
        n_out=torch.tensor(n_out)[:, None],
        heads=torch.full_like(counts, layout.heads),
        msa=torch.ones_like(counts, dtype=torch.bool),
        ffn=torch.ones_like(counts, dtype=torch.bool),
    )


def test_deit_small_costs_what_the_literature_prints(deit_small: Layout) -> None:
    assert cost.dense_macs(deit_small) / 1e9 == pytest.approx(4.599, abs=1e-3)
    dense = trace_of(deit_small, [197] * 12, [197] * 12)
    assert (cost.block_macs(dense)[:, 0] / 1e6).tolist() == pytest.approx([378.4] * 12, abs=0.05)
    assert cost.macs(dense).item() == cost.dense_macs(deit_small)


@pytest.mark.parametrize(
    ("kept", "gmacs", "ratio"),
    [
        ([163, 148, 135, 118, 107, 98, 83, 75, 65], 3.12, 0.56),
        ([187, 182, 178, 175, 173, 171, 169, 168, 166], 4.20, 0.885),
    ],
    ids=["clean", "adversarial"],
)
def test_ats_on_the_published_token_counts(
    deit_small: Layout, kept: list[int], gmacs: float, ratio: float
) -> None:
    n_out = [197, 197, 197, *kept]
    trace = trace_of(deit_small, [197, *n_out[:-1]], n_out)
    assert cost.macs(trace).item() / 1e9 == pytest.approx(gmacs, abs=0.005)
    assert cost.utilisation(trace).item() == pytest.approx(ratio, abs=0.005)


def test_off_parts_cost_nothing_and_half_the_heads_half_the_attention(deit_small: Layout) -> None:
    dense = trace_of(deit_small, [197] * 12, [197] * 12)
    idle = dataclasses.replace(dense, msa=~dense.msa, ffn=~dense.ffn)
    assert not cost.block_macs(idle).any()
    assert cost.utilisation(idle) == 0
    no_ffn = dataclasses.replace(dense, ffn=~dense.ffn)
    halved = dataclasses.replace(no_ffn, heads=no_ffn.heads // 2)
    assert torch.equal(2 * cost.block_macs(halved), cost.block_macs(no_ffn))


def test_the_counter_agrees_on_a_dense_model() -> None:
    backbone = VisionTransformer(
        img_size=32, patch_size=4, embed_dim=128, depth=2, num_heads=4, num_classes=10
    ).eval()
    model = SparseViT(backbone, Dense())
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        _, trace = model.trace(torch.zeros(1, 3, 32, 32))
    assert counter.get_total_flops() == 2 * cost.macs(trace).item() == 56_233_472


def test_gain_is_the_share_of_the_saving_that_was_lost() -> None:
    def g(adversarial: int, clean: int) -> Tensor:
        return cost.gain(torch.tensor([adversarial]), torch.tensor([clean]), 460)

    assert g(420, 309).item() == pytest.approx(111 / 151)
    assert g(300, 309).item() == pytest.approx(-9 / 151)
    assert g(460, 460).isnan().all()
