"""Laws of one int8 layer (spec C7 A 1-10, 13); the reference is written out here, in float64."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from engine.alter.quantize.arithmetic import int_product, quantise_weight, sliced_product
from engine.alter.quantize.linear import Int8Linear, Work
from engine.alter.quantize.schemes import Clipped, Mixed, Scheme, Static

EXACT = {"rtol": 0, "atol": 0}


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def dense(k: int, n: int, seed: int = 1) -> nn.Linear:
    layer = nn.Linear(k, n)
    with torch.no_grad():
        layer.weight.copy_(draw(n, k, seed=seed) / math.sqrt(k))
        layer.bias.copy_(draw(n, seed=seed + 1))
    return layer


def run(
    linear: nn.Linear, scheme: Scheme, x: Tensor, *, compact: bool = False
) -> tuple[Tensor, Work]:
    """A layer's output and what it did."""
    layer = Int8Linear(linear, scheme, compact=compact)
    done: list[Work] = []
    layer.report = done.append
    with torch.no_grad():
        y = layer(x)
    return y, done[0]


def error(y: Tensor, linear: nn.Linear, x: Tensor) -> float:
    """Relative Frobenius error against float64, bias left out."""
    truth = x.double() @ linear.weight.detach().double().T
    return float((y.double() - linear.bias.detach().double() - truth).norm() / truth.norm())


def reference(linear: nn.Linear, x: Tensor, threshold: float) -> tuple[Tensor, set[int]]:
    """Spec A1, steps 1 to 6: what is rounded in float32, as there, all else in float64."""
    w = linear.weight.detach().half().float()
    a = x.half().double()
    s_w = w.abs().amax(1)
    w8 = (w * (127 / s_w[:, None])).round().double()
    outlier = a.abs() >= threshold
    columns = outlier.any(0)
    s_x = a.masked_fill(outlier, 0).abs().amax(1)
    x8 = (a.float() * (127 / s_x[:, None].float())).round().double()
    x8[:, columns] = 0
    y = (x8 @ w8.T) * s_x[:, None] * s_w / 127**2
    y += x.double()[:, columns] @ (w8 * s_w[:, None] / 127)[:, columns].T
    return y + linear.bias.detach().double(), set(columns.nonzero()[:, 0].tolist())


@pytest.mark.parametrize("k", [1, 7, 1040, 1041, 4096])
def test_9_the_integer_product_is_exact(k: int):
    gen = torch.Generator().manual_seed(k)
    a, b = (torch.randint(-127, 128, (m, k), generator=gen).to(torch.int8) for m in (5, 6))
    a[0], b[0], b[1] = 127, 127, -127  # the largest sums there are
    truth = a.long() @ b.long().T
    assert torch.equal(int_product(a, b).long(), truth)
    assert torch.equal(sliced_product(a, b).long(), truth)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 7, 3), (17, 1041, 24), (33, 192, 20)])
def test_9_padding_for_cuda_is_exact(shape: tuple[int, int, int]):
    m, k, n = shape
    gen = torch.Generator().manual_seed(k)
    a, b = (torch.randint(-127, 128, (r, k), generator=gen).to(torch.int8) for r in (m, n))
    assert torch.equal(int_product(a.cuda(), b.cuda()).cpu().long(), a.long() @ b.long().T)
    linear, x = dense(k, n), draw(m, k)
    here, there = Int8Linear(linear, Mixed(1.5)), Int8Linear(linear, Mixed(1.5)).cuda()
    # sums of at most 1041 float32 numbers in another order
    torch.testing.assert_close(there(x.cuda()).cpu(), here(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rows", [1, 5, 33])
@pytest.mark.parametrize("threshold", [6.0, 2.0, 0.75])
def test_the_layer_is_bitsandbytes_step_by_step(rows: int, threshold: float):
    linear, x = dense(40, 24), draw(rows, 40)
    x[:, 3] *= 8
    truth, columns = reference(linear, x, threshold)
    y, done = run(linear, Mixed(threshold), x)
    assert set(done.columns.tolist()) == columns
    # float32 sums against float64 ones; a wrong rounding would show as 1e-3
    torch.testing.assert_close(y.double(), truth, rtol=1e-5, atol=1e-5)


def test_1_counts_fall_with_the_threshold():
    linear, x = dense(64, 8), draw(30, 64)
    x[:, 5] = 0
    counts = [len(run(linear, Mixed(t), x)[1].columns) for t in (1e-6, 0.5, 1, 2, 2.5, 3, 6, 1e4)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == 63
    assert counts[-1] == 0
    assert len(set(counts)) > 3
    assert not len(run(linear, Mixed(0), x)[1].columns)


def test_2_without_decomposition_it_is_plain_w8a8():
    linear, x = dense(64, 8), draw(30, 64)
    w8, step = quantise_weight(linear.weight)
    scale = x.half().float().abs().amax(1, keepdim=True)
    x8 = (x.half().float() * (127 / scale)).round()
    plain = (x8 @ w8.float().T) * (scale / 127)
    for threshold in (0, math.inf, 1e4):
        y, _ = run(linear, Mixed(threshold), x)
        torch.testing.assert_close(y, torch.addcmul(linear.bias.detach(), plain, step), **EXACT)


def test_3_with_every_column_out_only_the_weights_are_rounded():
    linear, x = dense(64, 8), draw(30, 64)
    layer = Int8Linear(linear, Mixed(1e-6))
    truth = x.double() @ layer.dequantised(slice(None), torch.float64).T + linear.bias.double()
    # the float product runs in x's own float32
    torch.testing.assert_close(layer(x).double(), truth, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("k", "plain", "planted"), [(192, 1.15e-2, 2.5e-2), (768, 1.3e-2, 4.5e-2)])
def test_4_decomposition_keeps_the_error_of_clean_inputs(k: int, plain: float, planted: float):
    linear, x = dense(k, 64), draw(400, k)
    y, _ = run(linear, Mixed(6.0), x)
    assert error(y, linear, x) < plain  # measured 1.0e-2 and 1.1e-2 (spec)
    every, _ = run(linear, Mixed(1e-6), x)
    assert 5e-3 < error(every, linear, x) < 9e-3  # the weights alone
    x[:, 7] += 50
    mixed, _ = run(linear, Mixed(6.0), x)
    flat, _ = run(linear, Mixed(0), x)
    assert error(mixed, linear, x) < 1.1e-2
    assert error(flat, linear, x) > planted  # measured 3.2e-2 and 5.6e-2 (spec)


def test_5_the_threshold_is_inclusive_and_compared_in_float16():
    linear = dense(32, 8)
    x = draw(6, 32).clamp(-3, 3)
    for value, out in ((6.0, True), (-6.0, True), (5.9981, True), (5.99, False), (6.01, True)):
        planted = x.clone()
        planted[4, 9] = value  # 5.9981 is 6 in float16, whose spacing there is 2^-8
        _, done = run(linear, Mixed(6.0), planted)
        assert done.columns.tolist() == ([9] if out else [])


def test_6_columns_of_a_batch_are_the_union_of_its_rows():
    linear = dense(48, 8)
    one, other = draw(9, 48), draw(9, 48, seed=4)
    found = [
        set(run(linear, Mixed(2.2), x)[1].columns.tolist())
        for x in (one, other, torch.cat((one, other)))
    ]
    assert found[0] | found[1] == found[2]
    assert found[0] != found[1]


def test_7_the_order_of_rows_changes_nothing():
    linear, x = dense(48, 8), draw(20, 48)
    turn = torch.randperm(20, generator=torch.Generator().manual_seed(3))
    y, done = run(linear, Mixed(2.2), x)
    turned, again = run(linear, Mixed(2.2), x[turn])
    assert torch.equal(done.columns, again.columns)
    torch.testing.assert_close(turned, y[turn], rtol=1e-6, atol=1e-6)  # order of float sums


def test_8_a_neighbours_outlier_changes_ones_own_output_a_little():
    linear, x = dense(192, 16), draw(8, 192).clamp(-5, 5)
    alone, _ = run(linear, Mixed(6.0), x)
    beside = torch.cat((x, torch.zeros(1, 192)))
    beside[-1, 10] = 30.0
    together, done = run(linear, Mixed(6.0), beside)
    assert done.columns.tolist() == [10]
    gap = (together[:-1] - alone).abs()
    # What changes is that column 10 of x is no longer rounded: by half a step times its weight.
    w = Int8Linear(linear, Mixed(6.0)).dequantised(torch.tensor([10]), torch.float32).abs().T
    bound = x.half().float().abs().amax(1, keepdim=True) / 127 / 2 * w
    assert float(gap.max()) > 0
    assert bool((gap <= bound * 1.05 + 1e-6).all())  # 5 %: x itself is not cast to float16


def test_10_a_row_of_zeros_gives_the_bias():
    linear, x = dense(32, 8), draw(4, 32)
    x[2] = 0
    for scheme in (Mixed(6.0), Mixed(0), Mixed(1.0), Static(3.0)):
        y, _ = run(linear, scheme, x)
        torch.testing.assert_close(y[2], linear.bias.detach(), **EXACT)
        assert bool(torch.isfinite(y).all())


def test_13_a_cap_keeps_the_largest_columns_and_costs_accuracy():
    linear, x = dense(100, 16), draw(40, 100)
    x[:, :10] *= torch.linspace(4, 40, 10)
    free, done = run(linear, Mixed(6.0), x)
    every = set(done.columns.tolist())
    assert len(every) == 10
    errors = [error(free, linear, x)]
    for cap in (10, 5, 0):
        y, work = run(linear, Mixed(6.0, cap), x)
        assert work.columns.tolist() == sorted(every)[10 - cap :]  # peaks grow with the index
        errors.append(error(y, linear, x))
    assert errors[0] == errors[1] < errors[2] < errors[3]
    flat, _ = run(linear, Mixed(0), x)
    torch.testing.assert_close(run(linear, Mixed(6.0, 0), x)[0], flat, **EXACT)


def test_compact_does_less_and_gives_the_same_numbers():
    linear, x = dense(100, 16), draw(40, 100)
    wide, _ = run(linear, Mixed(2.5), x)
    narrow, work = run(linear, Mixed(2.5), x, compact=True)
    assert 0 < len(work.columns) < 100
    torch.testing.assert_close(narrow, wide, **EXACT)


def test_clipping_under_the_threshold_leaves_no_outlier():
    linear, x = dense(64, 8), draw(30, 64) * 4
    y, done = run(linear, Clipped(5.9, Mixed(6.0)), x)
    assert not len(done.columns)
    torch.testing.assert_close(y, run(linear, Mixed(6.0), x.clamp(-5.9, 5.9))[0], **EXACT)


def test_static_uses_one_step_and_saturates():
    linear = dense(16, 4)
    x = draw(5, 16).clamp(-2, 2)
    y, _ = run(linear, Static(2.0), x)
    assert error(y, linear, x) < 3e-2
    torch.testing.assert_close(
        run(linear, Static(2.0), torch.full((1, 16), 9.0))[0],
        run(linear, Static(2.0), torch.full((1, 16), 2.0))[0],
        **EXACT,
    )


def test_the_gradient_passes_straight_through_the_rounding():
    linear, x = dense(64, 8), draw(3, 10, 64).requires_grad_()
    layer = Int8Linear(linear, Mixed(2.0))
    g = draw(3, 10, 8, seed=7)
    (found,) = torch.autograd.grad(layer(x), x, g)
    assert torch.equal(found, g @ layer.dequantised(slice(None), torch.float32))
    (true,) = torch.autograd.grad(linear(x), x, g)
    assert float(torch.cosine_similarity(found.flatten(), true.flatten(), 0)) > 0.9999


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_keep_theirs_and_see_the_same_columns(dtype: torch.dtype):
    linear, x = dense(64, 8), draw(30, 64).half().float()
    truth, done = run(linear, Mixed(2.5), x)
    y, again = run(linear, Mixed(2.5), x.to(dtype))
    assert y.dtype is dtype
    if dtype is not torch.bfloat16:  # its 8 bits move values across the threshold
        assert torch.equal(done.columns, again.columns)
        torch.testing.assert_close(y.float(), truth, rtol=1e-2, atol=1e-2)
