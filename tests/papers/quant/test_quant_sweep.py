"""A report at other thresholds is what the report itself says there."""

from __future__ import annotations

import pytest
import torch

from engine.alter.quantize.cost import Cost
from engine.alter.quantize.peaks import Shape
from engine.papers.quant.compare import ATTACKED, CLEAN, NOISE, Layer, Report, Seen
from engine.papers.quant.sweep import BINS, Sweep, ranked, sweep
from engine.papers.quant.threshold import Threshold

WIDTHS = (12, 48)


@pytest.fixture(scope="module")
def found() -> Report:
    gen = torch.Generator().manual_seed(0)

    def peaks(scale: float, sizes: tuple[int, ...]) -> tuple[torch.Tensor, ...]:
        return tuple((torch.rand(k, generator=gen) * scale).half().float() for k in sizes)

    def seen(scale: float) -> Seen:
        none = Cost(0, 0, 0, 1, 0, 0)
        return Seen(
            torch.zeros(3, 2, 2), peaks(scale, WIDTHS), peaks(scale, (5, 5)), 0, 1.0, none, none, 0
        )

    shapes = (Shape(5, 12, 36, 3), Shape(5, 48, 12, 1))
    layers = tuple(Layer(i, "qkv", shape) for i, shape in enumerate(shapes))
    pictures = {CLEAN: seen(3), ATTACKED: seen(8), NOISE: seen(3)}
    merged = {size: peaks(2, WIDTHS) for size in (1, 4)}
    threshold = Threshold(2.7, 0.1, 0.0, 3, calibrated=True)
    return Report("m", ("cat",), threshold, layers, (2, 2), 1, pictures, merged, (), 3, linf=8)


@pytest.fixture(scope="module")
def moved(found: Report) -> Sweep:
    return sweep(found, 30)


def test_thresholds_are_what_a_layer_can_compare_and_hold_the_run_s_own(
    found: Report, moved: Sweep
) -> None:
    limits = moved.thresholds
    assert torch.equal(limits, limits.half().float())
    assert (limits.diff() > 0).all()
    assert limits[moved.at] == torch.tensor(2.7).half()
    assert limits[0] == pytest.approx(2.7 / 4, rel=1e-3)
    assert all(moved.columns[name][-1].sum() <= 1 for name in found.seen), "the largest is the last"


def test_every_figure_is_the_report_s_own_at_that_threshold(found: Report, moved: Sweep) -> None:
    for t, limit in enumerate(moved.thresholds.tolist()):
        for name, seen in found.seen.items():
            assert int(moved.columns[name][t].sum()) == found.columns(name, limit)
            assert int(moved.hf[name][t]) == found.hf_columns(name, limit)
            assert float(moved.shares[name][t]) == pytest.approx(found.share(name, limit), rel=1e-6)
            hits = torch.stack(list(seen.tokens)) >= limit
            assert moved.reach[name][t].tolist() == hits.sum(0).tolist()
            assert moved.carriers[name][t].tolist() == [hits.any(0).sum(), *hits.sum(1)]
        for size, by in moved.batches.items():
            for name, union in by.items():
                assert int(union[t]) == found.batch_columns(size, name, limit)


def test_a_batch_pays_for_any_of_its_pictures(found: Report, moved: Sweep) -> None:
    for size, by in moved.batches.items():
        for name, union in by.items():
            assert (union >= moved.columns[name].sum(1)).all(), size


def test_a_bin_holds_the_largest_of_its_ranks(found: Report) -> None:
    columns = found.seen[ATTACKED].columns
    own = ranked(columns, columns)
    assert own.shape == (len(WIDTHS), BINS)
    assert torch.equal(own[:, 0], torch.stack([peaks.max() for peaks in columns]))
    assert (own.diff(dim=1) <= 0).all()
    other = ranked(columns, found.seen[CLEAN].columns)
    for layer, peaks in enumerate(columns):
        assert set(other[layer].tolist()) <= set(peaks.tolist())
    last = found.seen[CLEAN].columns[1].argmin()
    assert columns[1][last] <= other[1, -1], "the last bin reaches to the last column"
