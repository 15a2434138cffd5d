"""The Cost page's report: its numbers are those of the study, and every law of outliers holds."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from engine.alter.quantize.cost import Prices
from engine.alter.quantize.int8 import Int8
from engine.alter.quantize.peaks import Peaks
from engine.attack.recipes.pgd import PGD
from engine.attack.recipes.quantattack import QuantAttack
from engine.attack.universal import Universal
from engine.core.errors import EngineError, UnsupportedModel
from engine.evaluate.judge import shown
from engine.evaluate.noise import noisy
from engine.papers.quant.compare import (
    ATTACKED,
    BATCHES,
    CLEAN,
    NOISE,
    Asked,
    Report,
    Working,
    report,
)
from engine.papers.quant.threshold import Calibration
from engine.papers.quant.workload import workload
from tests.tiny import SIZE, victim

EPS = 8 / 255
SOURCE = victim()
GEN = torch.Generator().manual_seed(0)
PIXELS = torch.randint(0, 256, (9, 3, SIZE, SIZE), generator=GEN, dtype=torch.uint8)
QUANT = QuantAttack(eps=EPS, steps=6, form="count", class_weight=0.1)
CALIBRATION = Calibration.of(SOURCE, shown(PIXELS[1:], SOURCE))
ASKED = Asked(PIXELS[0], PIXELS[1:], QUANT, CALIBRATION.set_by(0.05), rounds=2)


def last(asked: Asked) -> Report:
    return [each for each in report(SOURCE, asked) if isinstance(each, Report)][-1]


@pytest.fixture(scope="module")
def found() -> Report:
    return last(ASKED)


def test_counts_are_those_of_the_study(found: Report):
    int8 = Int8(found.threshold.value)(SOURCE)
    for name, seen in found.seen.items():
        reading = workload(int8, seen.pixels[None])
        assert found.columns(name) == seen.cost.columns == int(reading.columns[0])
        assert found.hf_columns(name) == int(reading.hf_columns[0])
        assert found.share(name) == pytest.approx(float(reading.share[0]))
        assert seen.answer == int(reading.answers[0])


def test_share_is_weighted_by_what_a_column_multiplies(found: Report):
    for name, seen in found.seen.items():
        outside = total = 0
        for layer, peaks in zip(found.layers, seen.columns, strict=True):
            m, k, n, _ = layer.shape
            assert len(peaks) == k
            outside += m * n * int((peaks >= found.threshold.value).sum())
            total += m * k * n
        assert found.share(name) == outside / total == seen.cost.share
        assert seen.cost.macs16 == outside == seen.compact.macs16
        assert seen.compact.macs8 == total - outside


def test_a_batch_is_the_union_of_its_pictures(found: Report):
    int8 = Int8(found.threshold.value)(SOURCE)
    assert tuple(found.merged) == BATCHES
    for name, seen in found.seen.items():
        reading = workload(int8, torch.cat((seen.pixels[None], PIXELS[1:8])))
        for size in BATCHES:
            union = int(reading.outside[:size].any(0).sum())
            assert found.batch_columns(size, name) == union
            assert union >= found.columns(name)
    assert found.batch_columns(1, CLEAN) == found.columns(CLEAN)


def test_nothing_leaves_int8_at_infinity_and_everything_used_at_almost_nothing(found: Report):
    for name, seen in found.seen.items():
        assert found.columns(name, 65504.0) == 0
        assert found.share(name, 65504.0) == 0
        assert found.columns(name, 1e-7) == sum(int((c > 0).sum()) for c in seen.columns)
        few, many = found.columns(name, 2.0), found.columns(name, 1.0)
        assert few <= many


def test_the_report_runs_at_the_threshold_it_was_given(found: Report):
    assert found.threshold == ASKED.threshold
    fixed = last(replace(ASKED, threshold=CALIBRATION.fixed(3.0), rounds=1))
    assert (fixed.threshold.value, fixed.threshold.calibrated) == (3.0, False)


def test_columns_of_the_float_model_are_counted_beside_those_of_the_int8_one(found: Report):
    for seen in found.seen.values():
        peaks = Peaks.of(SOURCE, shown(seen.pixels[None], SOURCE))
        assert seen.float_columns == int(peaks.total(found.threshold.value)[0])


def test_without_an_attack_nothing_changes():
    found = last(replace(ASKED, attack=None, rounds=1))
    clean = found.seen[CLEAN]
    for name in (ATTACKED, NOISE):
        assert torch.equal(found.seen[name].pixels, PIXELS[0])
        assert found.columns(name) == found.columns(CLEAN)
        assert (found.seen[name].answer, found.seen[name].cost) == (clean.answer, clean.cost)
    assert (found.linf, found.steps, found.asked, len(found.path)) == (0, 0, 0, 1)


def test_the_attack_beats_noise_of_its_own_size_and_stays_in_its_budget(found: Report):
    assert found.linf <= 8
    moved = found.seen[ATTACKED].pixels.int() - PIXELS[0].int()
    assert int(moved.abs().max()) == found.linf
    assert torch.equal(found.seen[NOISE].pixels, noisy(PIXELS[:1], found.linf / 255, 0)[0])
    assert found.columns(ATTACKED) > found.columns(NOISE)
    assert found.path[0] == (0, found.columns(CLEAN))
    assert found.path[-1] == (6, found.columns(ATTACKED))


def test_tokens_and_columns_are_two_margins_of_the_same_inputs(found: Report):
    for seen in found.seen.values():
        assert len(seen.tokens) == len(seen.columns) == len(found.layers)
        for tokens, columns in zip(seen.tokens, seen.columns, strict=True):
            assert tokens.shape == (found.prefix + found.grid[0] * found.grid[1],)
            assert tokens.max() == columns.max()


def test_countermeasures_keep_their_promise_and_their_names(found: Report):
    by = {each.name: each for each in found.defences}
    assert next(iter(by)) == "none"
    assert by["none"].attacked == pytest.approx(found.share(ATTACKED))
    assert by["budget of 1 % per layer"].attacked <= 0.01
    assert by["budget of 0.5 % of the net"].attacked <= 0.005
    for name in ("clipping under the threshold", "no decomposition", "static int8"):
        assert by[name].attacked == by[name].clean == 0
    assert all(0 < each.error < 1 for each in found.defences)


def test_times_have_quartiles_and_energy_says_that_it_is_modelled(found: Report):
    assert set(found.times) == {"float", CLEAN, ATTACKED, NOISE}
    for each in found.times.values():
        assert 0 < each.low <= each.median <= each.high
        assert each.rounds == 2
    assert found.memory is None
    assert not found.metered
    assert "not an NVIDIA GPU" in found.meter
    for name, joules in found.energy.items():
        work = found.seen[name].cost
        assert joules == Prices().int8 * work.macs8 + Prices().half * work.macs16


def test_reports_grow_and_stopping_keeps_what_is_there():
    grown = [each for each in report(SOURCE, ASKED) if isinstance(each, Report)]
    assert [bool(each.defences) for each in grown] == [False, True, True]
    assert [each.times is not None for each in grown] == [False, False, True]
    steps: list[int] = []
    events = report(SOURCE, ASKED, lambda: len(steps) >= 2)
    reports: list[Report] = []
    for each in events:
        if isinstance(each, Working):
            steps.append(each.step)
        elif isinstance(each, Report):
            reports.append(each)
    (stopped,) = reports
    assert (stopped.steps, stopped.asked, stopped.defences, stopped.times) == (2, 6, (), None)


def test_other_attacks_and_a_universal_perturbation_are_reported_alike():
    plain = last(replace(ASKED, attack=PGD(eps=EPS, steps=2), rounds=1))
    assert plain.steps == 2
    delta = EPS * torch.randn((3, SIZE, SIZE), generator=GEN, dtype=torch.float64).sign()
    given = last(replace(ASKED, attack=Universal(delta, EPS, "vit"), rounds=1))
    assert (given.steps, given.asked, len(given.path)) == (1, 1, 1)
    assert given.linf == 8
    with pytest.raises(EngineError):
        last(replace(ASKED, attack=Universal(delta[:, :5, :5], EPS, "vit")))


def test_a_model_without_linear_layers_in_blocks_is_refused_in_one_sentence():
    with pytest.raises(UnsupportedModel):
        list(report(victim("resnet"), ASKED))


@pytest.mark.parametrize("name", ["pit", "swin", "cait", "visformer"])
def test_stages_windows_and_class_attention_are_counted_without_a_map(name: str):
    other = victim(name)
    asked = replace(ASKED, attack=PGD(eps=EPS, steps=1), rounds=1)
    found = [each for each in report(other, asked) if isinstance(each, Report)][-1]
    assert found.grid is None
    int8 = Int8(found.threshold.value)(other)
    assert found.columns(CLEAN) == int(workload(int8, PIXELS[:1]).columns[0])
    blocks = [layer.block for layer in found.layers]
    assert sorted(set(blocks)) == list(range(max(blocks) + 1))
