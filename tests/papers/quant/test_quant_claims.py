"""QuantAttack's claims: every row is computed as its words say, and no verdict is free."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from engine.alter.quantize.int8 import Int8
from engine.alter.quantize.peaks import Peaks
from engine.attack.attack import craft
from engine.attack.constraint import to_8bit
from engine.attack.recipes.quantattack import QuantAttack
from engine.core.errors import BadTask
from engine.core.streams import Streams
from engine.evaluate.claim import Row
from engine.evaluate.interval import Estimate
from engine.evaluate.judge import shown
from engine.evaluate.noise import noisy
from engine.evaluate.rank import ranks, spearman
from engine.evaluate.study import STUDIES, read
from engine.model.task import Task
from engine.papers.quant.claims import Settings, measure
from engine.papers.quant.countermeasures import countermeasures
from engine.papers.quant.findings import Findings
from engine.papers.quant.workload import workload
from tests.tiny import CLASSES, SIZE, victim

SOURCE = victim()
GEN = torch.Generator().manual_seed(0)
PIXELS = torch.randint(0, 256, (14, 3, SIZE, SIZE), generator=GEN, dtype=torch.uint8)
LABELS = torch.randint(0, CLASSES, (14,), generator=GEN)
SETTINGS = Settings(share=0.05, steps=3, calibration=4, universal_epochs=1, rounds=1)
KNOWN, REST = PIXELS[:4], PIXELS[4:]
THRESHOLD = Peaks.of(SOURCE, shown(KNOWN, SOURCE)).threshold_for(0.05)
SHIPPED = sorted(STUDIES.glob("quant_*.json"))


@pytest.fixture(scope="module")
def measured() -> tuple[list[Row], Findings]:
    events = list(measure(SOURCE, PIXELS, LABELS, SETTINGS, batch=12))
    (findings,) = (each for each in events if isinstance(each, Findings))
    return [each for each in events if isinstance(each, Row)], findings


@pytest.fixture(scope="module")
def value(measured: tuple[list[Row], Findings]) -> Callable[[str], Row]:
    return lambda words: next(row for row in measured[0] if row.statement == words)


@pytest.fixture(scope="module")
def attacked() -> Tensor:
    """The pictures under QuantAttack, one by one, as a PNG holds them."""
    attack = QuantAttack(steps=3, threshold=THRESHOLD, form="code").build(SOURCE.spec)
    saved: list[Tensor] = []
    for place, picture in enumerate(REST.split(1)):
        clean = shown(picture, SOURCE)
        task = Task(clean, LABELS[4 + place : 5 + place])
        saved.append(to_8bit(craft(attack, SOURCE, task, Streams(0, (place,))), clean, 8 / 255))
    return torch.cat(saved)


def columns(pixels: Tensor) -> list[int]:
    """Outlier columns of each picture alone in the int8 model, from its peaks."""
    int8 = Int8(THRESHOLD)(SOURCE)
    return [int(Peaks.of(int8, shown(p, int8)).total(THRESHOLD)[0]) for p in pixels.split(1)]


def test_columns_are_those_of_each_picture_counted_alone(
    value: Callable[[str], Row], attacked: Tensor
) -> None:
    clean, hit, noise = (columns(each) for each in (REST, attacked, noisy(REST, 8 / 255, 0)))
    for words, expected in (
        ("outlier columns, QuantAttack / clean", sum(hit) / sum(clean)),
        ("outlier columns, QuantAttack / sign noise", sum(hit) / sum(noise)),
        ("outlier columns, noise / clean", sum(noise) / sum(clean)),
        ("outlier columns, clean", sum(clean) / 10),
        ("outlier columns, quantattack", sum(hit) / 10),
    ):
        row = value(words)
        assert row.measured.value == pytest.approx(expected), words
        assert row.measured.low < row.measured.value < row.measured.high
        assert row.pictures == 10
    assert sum(hit) > sum(noise)


def test_answers_and_shares_are_the_int8_models(
    value: Callable[[str], Row], attacked: Tensor
) -> None:
    int8 = Int8(THRESHOLD)(SOURCE)
    kept: list[bool] = []
    shares: list[float] = []
    for before, after in zip(REST.split(1), attacked.split(1), strict=True):
        kept.append(
            bool(
                int8.logits(shown(before, int8)).argmax()
                == int8.logits(shown(after, int8)).argmax()
            )
        )
        shares.append(float(Peaks.of(int8, shown(after, int8)).mac_share(THRESHOLD)[0]))
    assert value("labels kept under QuantAttack").measured.value == 10 * sum(kept)
    row = value("share of multiplications outside int8, quantattack")
    assert row.measured.value == pytest.approx(100 * sum(shares) / 10)


def test_a_batch_of_one_is_the_picture_itself(
    value: Callable[[str], Row], attacked: Tensor
) -> None:
    clean, hit = columns(REST), columns(attacked)
    gen = Streams(0).at("batches", 1)
    drawn = [int(torch.randperm(10, generator=gen)[0]) for _ in range(64)]
    row = value("columns of a batch of 1, one attacked / all clean")
    assert row.measured.value == pytest.approx(sum(hit[i] / clean[i] for i in drawn) / 64)
    assert row.pictures == 10


def test_bounds_that_are_promised_hold(measured: tuple[list[Row], Findings]) -> None:
    bounds = [row for row in measured[0] if row.expected.startswith("at most")]
    assert len(bounds) == 5
    assert {row.verdict for row in bounds} == {"holds"}
    (flat,) = (row for row in measured[0] if row.claim == "g")
    assert (flat.measured, flat.verdict) == (Estimate(0, 0, 0), "holds")


def test_every_claim_has_rows_and_what_has_no_bar_is_reported(
    measured: tuple[list[Row], Findings],
) -> None:
    assert {row.claim for row in measured[0]} == set("abcdefg")
    for row in measured[0]:
        assert (row.verdict == "reported") == (row.expected == ""), row
        if row.expected.startswith("above"):
            bar = float(row.expected.removeprefix("above "))
            m = row.measured
            said = "holds" if m.low > bar else "fails" if m.high < bar else "undecided"
            assert row.verdict == said, row


def test_findings_are_the_rows_figures_with_every_set_and_countermeasure(
    measured: tuple[list[Row], Findings], value: Callable[[str], Row]
) -> None:
    found = measured[1]
    about = found.about
    assert (about.model, about.pictures, about.calibration, about.share) == ("vit", 10, 4, 0.05)
    assert about.threshold == THRESHOLD
    sets = {each.name: each for each in found.measured}
    assert {"clean", "noise", "pgd", "sponge", "quantattack", "universal"} <= sets.keys()
    assert sets["clean"].kept.value == 100
    assert sets["quantattack"].columns == value("outlier columns, quantattack").measured
    made = countermeasures(PIXELS[:1] / 255, 1.0)
    assert [each.name for each in found.defended] == [each.name for each in made]
    alarms, hits = found.detected.false_alarms, found.detected.hits
    assert (alarms[0], hits[0], alarms[-1], hits[-1]) == (0, 0, 1, 1)
    assert list(alarms) == sorted(alarms)


def test_reading_counts_what_counting_counts_and_batches_are_unions() -> None:
    int8 = Int8(THRESHOLD)(SOURCE)
    found = workload(int8, PIXELS[:5])
    for i in range(5):
        peaks = Peaks.of(int8, shown(PIXELS[i : i + 1], int8))
        assert found.columns[i] == peaks.total(THRESHOLD)[0]
        assert found.hf_columns[i] == peaks.hf_equivalent(THRESHOLD)[0]
        assert float(found.share[i]) == pytest.approx(float(peaks.mac_share(THRESHOLD)[0]))
    alone = found.batch_columns(torch.arange(5)[:, None])
    assert torch.equal(alone, found.columns)
    together = found.batch_columns(torch.tensor([[0, 1, 2], [2, 1, 0]]))
    assert together[0] == together[1] == found.outside[:3].any(0).sum()


def test_rank_correlation_is_one_for_any_rising_curve_and_shares_ties() -> None:
    x = torch.tensor([3.0, 1, 2, 2, 9])
    assert ranks(x).tolist() == [3, 0, 1.5, 1.5, 4]
    once = torch.ones(1, 5, dtype=torch.float64)
    assert float(spearman(x, x.exp(), once)) == pytest.approx(1)
    assert float(spearman(x, -x, once)) == pytest.approx(-1)


def test_noise_spends_the_whole_budget_and_no_more() -> None:
    moved = noisy(PIXELS, 8 / 255, 0).int() - PIXELS.int()
    assert int(moved.abs().max()) == 8
    inside = (PIXELS >= 8) & (PIXELS <= 247)
    assert bool((moved[inside].abs() == 8).all())
    assert abs(float(moved[inside].float().mean())) < 0.5  # 8 / sqrt(50 000) = 0.04


def test_too_few_pictures_are_refused() -> None:
    with pytest.raises(BadTask):
        next(measure(SOURCE, PIXELS[:5], LABELS[:5], SETTINGS))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_no_shipped_rate_claims_to_be_certain(path: Path) -> None:
    study = read(path, Findings)
    found = study.findings
    rates = [rate for each in found.defended for rate in (each.price, each.attacked)]
    rates += [each.kept for each in found.measured]
    rates += [found.detected.caught, found.detected.flagged]
    assert all(each.low < each.high for each in rates)
    assert all(each.pictures == found.about.pictures for each in rates)
    (kept,) = (row for row in study.claims if row.statement == "labels kept under QuantAttack")
    (own,) = (each.kept for each in found.measured if each.name == "quantattack")
    assert kept.measured == Estimate(own.value, own.low, own.high)
