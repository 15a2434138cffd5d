"""QuantAttack's claims: every row is there, is computed as its words say, and no verdict is free."""

from __future__ import annotations

import json
import math

import pytest
import torch

from engine.alter.quantize.int8 import Int8
from engine.alter.quantize.peaks import Peaks
from engine.core.errors import BadTask
from engine.evaluate.interval import Estimate
from engine.evaluate.judge import shown
from engine.papers.quant.claims import (
    Row,
    Settings,
    _verdict,  # pyright: ignore[reportPrivateUsage]
    markdown,
    measure,
    summary,
)
from engine.papers.quant.reading import noisy, ranks, read, spearman
from tests.tiny import CLASSES, SIZE, victim

SOURCE = victim()
GEN = torch.Generator().manual_seed(0)
PIXELS = torch.randint(0, 256, (14, 3, SIZE, SIZE), generator=GEN, dtype=torch.uint8)
LABELS = torch.randint(0, CLASSES, (14,), generator=GEN)
THRESHOLD = Peaks.of(SOURCE, shown(PIXELS, SOURCE)).threshold_for(0.05)
SETTINGS = Settings(THRESHOLD, steps=3, calibration=4, universal_epochs=1, rounds=2, batch=12)


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return [e for e in measure(SOURCE, PIXELS, LABELS, SETTINGS) if isinstance(e, Row)]


def test_every_claim_has_rows_with_an_interval_around_the_value(rows: list[Row]):
    assert {row.claim for row in rows} == set("abcdefg")
    for row in rows:
        m = row.measured
        assert math.isfinite(m.value), row
        assert m.low <= m.value <= m.high or row.unit == "correlation", row
        assert row.pictures > 0
        assert (row.verdict == "reported") == (row.expected == ""), row


def test_bounds_that_are_promised_hold(rows: list[Row]):
    bounds = [row for row in rows if row.expected.startswith("at most")]
    assert len(bounds) == 5
    assert {row.verdict for row in bounds} == {"holds"}
    (flat,) = (row for row in rows if row.claim == "g")
    assert (flat.measured.value, flat.verdict) == (0, "holds")


def test_rows_become_data_and_a_table(rows: list[Row]):
    data = json.loads(json.dumps(summary(rows, SETTINGS)))
    assert data["settings"]["threshold"] == THRESHOLD
    assert len(data["rows"]) == len(rows)
    assert len(markdown(rows).splitlines()) == len(rows) + 2


def test_a_verdict_needs_the_whole_interval():
    assert _verdict(Estimate(2, 1.1, 3), 1) == "holds"
    assert _verdict(Estimate(0.5, 0.1, 0.9), 1) == "fails"
    assert _verdict(Estimate(2, 0.9, 3), 1) == "undecided"
    assert _verdict(Estimate(2, 0.9, 3), None) == "reported"


def test_reading_counts_what_counting_counts_and_batches_are_unions():
    int8 = Int8(THRESHOLD)(SOURCE)
    found = read(int8, PIXELS[:5])
    for i in range(5):
        peaks = Peaks.of(int8, shown(PIXELS[i : i + 1], int8))
        assert found.columns[i] == peaks.total(THRESHOLD)[0]
        assert found.hf_columns[i] == peaks.hf_equivalent(THRESHOLD)[0]
        assert float(found.share[i]) == pytest.approx(float(peaks.mac_share(THRESHOLD)[0]))
    alone = found.batch_columns(torch.arange(5)[:, None])
    assert torch.equal(alone, found.columns)
    together = found.batch_columns(torch.tensor([[0, 1, 2], [2, 1, 0]]))
    assert together[0] == together[1] == found.outside[:3].any(0).sum()


def test_rank_correlation_is_one_for_any_rising_curve_and_shares_ties():
    x = torch.tensor([3.0, 1, 2, 2, 9])
    assert ranks(x).tolist() == [3, 0, 1.5, 1.5, 4]
    once = torch.ones(1, 5, dtype=torch.float64)
    assert float(spearman(x, x.exp(), once)) == pytest.approx(1)
    assert float(spearman(x, -x, once)) == pytest.approx(-1)


def test_noise_spends_the_whole_budget_and_no_more():
    moved = noisy(PIXELS, 8 / 255, 0).int() - PIXELS.int()
    assert int(moved.abs().max()) == 8
    inside = (PIXELS >= 8) & (PIXELS <= 247)
    assert bool((moved[inside].abs() == 8).all())
    assert abs(float(moved[inside].float().mean())) < 0.5  # 8 / sqrt(50 000) = 0.04


def test_too_few_pictures_are_refused():
    with pytest.raises(BadTask):
        next(measure(SOURCE, PIXELS[:5], LABELS[:5], SETTINGS))
