"""What gradient rules do to a gradient, on examples small enough to check by eye."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engine.attack.rule import (
    Damp,
    ExtremeHeads,
    ExtremePairs,
    ExtremeTokens,
    Only,
)
from engine.model.sites import Address, Site

AT = Address(Site.QKV, 0)
QKV, SCORES = frozenset({Site.QKV}), frozenset({Site.SCORES})


def noise(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)


def test_map_rule_on_a_four_by_four_example():
    g = torch.tensor([[1.0, 2, 3, 4], [5, 6, 7, 8], [-9, 1, 2, 3], [4, 5, 9, 6]])[None, None]
    edited = ExtremePairs(SCORES, 0.5).grad(g, AT)[0, 0]
    # largest 9 at (3, 2), smallest -9 at (2, 0): rows 3 and 2, columns 2 and 0 are gone
    assert edited.tolist() == [[0, 1, 0, 2], [0, 3, 0, 4], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_token_rule_on_an_example():
    g = torch.tensor([[3.0, -1], [0, 5], [-2, 4], [1, -7]])[None]
    edited = ExtremeTokens(QKV, 0.5).grad(g, AT)[0]
    assert edited.tolist() == [[0, -0.5], [0, 0], [0, 2], [0.5, 0]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_token_rule_removes_signed_extremes_and_scales_the_rest(k: int, dtype: torch.dtype):
    g = noise(3, 11, 5, dtype=dtype)
    edited = ExtremeTokens(QKV, 0.75, k).grad(g, AT)
    for image, done in zip(g, edited, strict=True):
        for column, left in zip(image.T, done.T, strict=True):
            gone = set(column.float().argsort(stable=True)[:k].tolist())
            gone |= set(column.float().argsort(stable=True)[-k:].tolist())
            for token in range(11):
                assert left[token] == (0 if token in gone else 0.75 * column[token])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_ties_go_to_the_first_token(dtype: torch.dtype):
    g = torch.ones(1, 6, 3, dtype=dtype)
    g[0, :, 1] = torch.tensor([0, 2, 2, -1, -1, 0])
    edited = ExtremeTokens(QKV, 1.0).grad(g, AT)[0]
    assert edited[:, 0].tolist() == [0, 1, 1, 1, 1, 1]
    assert edited[:, 1].tolist() == [0, 0, 2, 0, -1, 0]


def test_map_ties_go_to_the_first_cell():
    g = torch.zeros(1, 1, 4, 4)
    g[0, 0, 1:3, 1:3] = 1
    edited = ExtremePairs(SCORES, 1.0).grad(g, AT)[0, 0]  # max at (1, 1), min at (0, 0)
    assert edited.nonzero().tolist() == [[2, 2]]


@pytest.mark.parametrize("k", [1, 2])
def test_map_rule_zeroes_exactly_the_rows_and_columns_of_the_extremes(k: int):
    g = noise(2, 3, 6, 6)
    edited = ExtremePairs(SCORES, 0.25, k).grad(g, AT)
    for b in range(2):
        for h in range(3):
            order = g[b, h].flatten().argsort()
            cells = [(int(i) // 6, int(i) % 6) for i in (*order[:k], *order[-k:])]
            for i in range(6):
                for j in range(6):
                    gone = any(i == row or j == column for row, column in cells)
                    assert edited[b, h, i, j] == (0 if gone else 0.25 * g[b, h, i, j])


def test_a_single_query_loses_its_extreme_tokens_only():
    g = torch.tensor([3.0, -1, 0.5, 7, -4])[None, None, None]
    assert ExtremePairs(SCORES, 0.5).grad(g, AT).flatten().tolist() == [1.5, -0.5, 0.25, 0, 0]


def test_published_class_attention_rule_picks_heads_per_token():
    g = torch.tensor([[1.0, 5], [2, 4], [3, 6]]).view(1, 3, 1, 2)
    edited = ExtremeHeads(SCORES, 0.5).grad(g, AT).view(3, 2)
    assert edited.tolist() == [[0, 2.5], [1, 0], [0, 0]]


@pytest.mark.parametrize(
    "rule", [ExtremeTokens(QKV, 1.0, 0), ExtremePairs(SCORES, 1.0, 0), Damp(QKV, 1.0)]
)
def test_no_extremes_and_factor_one_change_no_bit(rule: ExtremeTokens):
    g = noise(2, 3, 5, 5) if isinstance(rule, ExtremePairs) else noise(2, 5, 3)
    assert torch.equal(rule.grad(g, AT), g)


@pytest.mark.parametrize(
    ("rule", "shape"),
    [
        (ExtremeTokens(QKV, 0.5), (2, 7, 6)),
        (ExtremeTokens(QKV, 0.5, 2), (2, 7, 6)),
        (ExtremePairs(SCORES, 0.5), (2, 3, 5, 5)),
        (ExtremePairs(SCORES, 0.5, 2), (2, 3, 5, 5)),
        (ExtremeHeads(SCORES, 0.5), (2, 3, 1, 5)),
        (Damp(QKV, 0.5), (2, 7, 6)),
    ],
)
def test_a_rule_leaves_its_argument_alone_and_reads_any_layout(
    rule: ExtremeTokens, shape: tuple[int, ...]
):
    g = noise(*shape)
    before = g.clone()
    edited = rule.grad(g, AT)
    assert torch.equal(g, before)
    strided = g.transpose(1, -1).contiguous().transpose(1, -1)
    assert torch.equal(rule.grad(strided, AT), edited)


def test_only_acts_at_its_blocks_and_slots():
    rule = Only(Damp(QKV, 0.0), blocks=frozenset({1}), slots=frozenset({"v"}))
    g = noise(1, 2, 2)
    assert rule.sites == QKV
    assert not rule.grad(g, Address(Site.QKV, 1, "v")).any()
    assert torch.equal(rule.grad(g, Address(Site.QKV, 0, "v")), g)
    assert torch.equal(rule.grad(g, Address(Site.QKV, 1, "k")), g)
