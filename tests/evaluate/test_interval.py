"""Intervals and paired tests against values known by hand and by definition."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.evaluate.interval import Z95, Estimate, Proportion, Rate, bootstrap, mcnemar


def test_wilson_solves_its_own_equation() -> None:
    # The ends are the p0 for which |p - p0| = z sqrt(p0 (1 - p0) / n); exact up to rounding.
    for count, of in ((1, 3), (10, 20), (95, 100), (7, 1966)):
        share = Proportion(count, of)
        for end in share.interval:
            assert abs(share.value - end) == pytest.approx(
                Z95 * math.sqrt(end * (1 - end) / of), rel=1e-9
            )


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_its_value_inside_zero_to_one(pair: tuple[int, int]) -> None:
    share = Proportion(*pair)
    low, high = share.interval
    assert 0 <= low <= share.value <= high <= 1


def test_a_share_of_nothing_is_unknown() -> None:
    assert math.isnan(Proportion(0, 0).value)
    assert Proportion(0, 0).interval == (0, 1)


def test_mcnemar_is_the_exact_binomial_test() -> None:
    assert mcnemar(1, 9) == 2 * (1 + 10) / 2**10
    assert mcnemar(9, 1) == mcnemar(1, 9)
    assert mcnemar(5, 5) == 1
    assert mcnemar(0, 0) == 1
    assert mcnemar(0, 3000) < 1e-300 or mcnemar(0, 3000) == 0


def test_bootstrap_of_a_mean_agrees_with_the_normal_interval() -> None:
    data = torch.randn(400, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = bootstrap(lambda w: (w @ data) / w.sum(1), 400)
    half = Z95 * float(data.std()) / 400**0.5
    assert found.value == pytest.approx(float(data.mean()))
    # 4000 draws place a 2.5 % quantile within about 4 % of the half width.
    assert found.high - found.low == pytest.approx(2 * half, rel=0.1)
    assert found == bootstrap(lambda w: (w @ data) / w.sum(1), 400)


def test_bootstrap_keeps_pairs_together() -> None:
    data = torch.rand(50, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    found = bootstrap(lambda w: (w @ (data + 0.25)) / w.sum(1) - (w @ data) / w.sum(1), 50)
    assert found.low == pytest.approx(0.25)
    assert found.high == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("count", "most"),
    [(10, 25.89), (16, 17.07), (32, 8.94), (300, 0.99)],
)
def test_pictures_that_all_agree_bound_the_rest_exactly(count: int, most: float) -> None:
    """Clopper-Pearson: were `most` % of all pictures otherwise, 5 % of samples would all agree."""
    kept = Rate.of(Estimate(100, 100, 100), count)
    assert (kept.value, kept.high, kept.agreed) == (100, 100, True)
    assert 100 - kept.low == pytest.approx(most, abs=0.005)
    assert (kept.low / 100) ** count == pytest.approx(0.05)
    price = Rate.change(Estimate(0, 0, 0), count)
    assert (price.low, price.high) == (pytest.approx(-most, abs=0.005), -price.low)
    wide = Rate.change(Estimate(-10, -30, 0), count)
    assert (wide.low, wide.high, wide.agreed) == (-30, 0, False)
