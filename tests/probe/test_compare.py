"""Readings against the clean picture's: every figure against a count or a sum done by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from engine.core.streams import Streams
from engine.model.victim import BlockShape
from engine.probe import compare
from engine.probe.depth import Depth
from engine.probe.outliers import OutlierColumns
from engine.probe.scores import ScoreGaps
from engine.probe.tokens import TokenMasks

SHAPE = BlockShape(heads=2, width=4, prefix=1, grid=(1, 3))


def row(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)


def depth(*cosine: float) -> Depth:
    return Depth(torch.tensor(cosine), torch.tensor(cosine), (), None)


def test_entropy_is_the_bits_of_a_choice() -> None:
    rows = torch.stack([row(0.25, 0.25, 0.25, 0.25), row(1, 0, 0, 0), row(0.5, 0.5, 0, 0)])
    assert torch.allclose(compare.entropy(rows), row(2, 0, 1), atol=1e-6)


def test_the_most_turned_head_is_found_with_its_control() -> None:
    still = torch.stack([row(0.5, 0.5, 0, 0), row(0.25, 0.25, 0.25, 0.25)])
    swung = torch.stack([row(0.5, 0.5, 0, 0), row(1, 0, 0, 0)])
    shaken = torch.stack([row(0.5, 0.5, 0, 0), row(0.5, 0.25, 0.25, 0)])
    found = compare.turned([still, still], [still, swung], [still, shaken])
    assert (found.block, found.head) == (1, 1)
    assert found.share == pytest.approx(0.75)
    assert found.noise == pytest.approx(0.25)
    assert found.bits == pytest.approx((2, 0), abs=1e-6)
    # the mean row of the heads (.375, .375, .125, .125)
    assert compare.spread([still]) == pytest.approx([1.81128], abs=1e-4)


def test_a_measure_against_clean_is_the_geometric_mean_and_leaves_out_what_is_zero() -> None:
    clean = torch.tensor([[1.0, 1.0, 0.0], [2.0, 0.0, 0.0], [4.0, 1.0, 0.0]])
    now = torch.tensor([[8.0, 4.0, 1.0], [2.0, 3.0, 1.0], [1.0, 0.0, 0.0]])
    found = compare.against(clean, now)
    # ratios 8, 1, 1/4: mean log is log 2 / 3, the first is most apart; then 4 alone; then none
    assert found.typical[:2].tolist() == pytest.approx([2 ** (1 / 3), 4])
    assert math.isnan(found.typical[2])
    assert found.far.tolist() == [0, 0, -1]


def test_the_widest_gap_is_that_of_either_picture() -> None:
    def gaps(tops: Tensor, cancels: Tensor, underflows: Tensor) -> ScoreGaps:
        return ScoreGaps(tops.unsqueeze(1).expand(-1, 5), cancels, underflows)

    clean = gaps(row(3, 30, 5), row(0, 0.25, 0), row(0, 0, 0))
    now = gaps(row(9, 20, 110), row(0.5, 0.125, 0), row(0, 0, 0.125))
    assert compare.widest(clean, now) == (110, 2, 0.5, 0, 0.125)
    assert compare.widest(clean, clean) == (30, 1, 0.25, 1, 0)


def columns(*peaks: Tensor) -> OutlierColumns:
    layers = tuple((i // 2, ("qkv", "proj")[i % 2]) for i in range(len(peaks)))
    return OutlierColumns(layers, tuple(p.half().float() for p in peaks), (), (SHAPE,))


def test_every_offered_threshold_is_counted_as_the_reading_counts() -> None:
    gen = Streams(3).at("peaks")
    first, second = (columns(*(torch.rand(4, 50, generator=gen) * top)) for top in (4, 9))
    thresholds = compare.offered([first, second], 2.5, 0.05)
    assert 2.5 in thresholds
    assert float(thresholds[-1]) == max(float(peak.max()) for peak in second.columns)
    assert float(thresholds[0]) <= first.reached_by(0.05)
    assert (thresholds.diff() > 0).all()
    table = compare.counts(second.columns, thresholds)
    for at, threshold in enumerate(thresholds.tolist()):
        by_hand = [sum(v >= threshold for v in peak.tolist()) for peak in second.columns]
        assert table[at].tolist() == by_hand
    tripled = compare.as_hugging_face(table, second)
    assert tripled.tolist() == [3 * (a + c) + b + d for a, b, c, d in table.tolist()]


@pytest.mark.parametrize(
    ("now", "block"),
    [((1, 1, 9, 10), 2), ((9, 9, 9, 9), 0), ((9, 9, 9, 2), None), ((9, 3, 9, 9), 2)],
)
def test_pictures_part_where_they_stay_three_times_as_far_as_noise(
    now: tuple[float, ...], block: int | None
) -> None:
    found = compare.parting(depth(*now), depth(1, 1, 1, 1))
    assert found == (block, None if block is None else now[block], now[-1])


def test_a_class_is_read_from_where_it_keeps_half() -> None:
    lens = torch.tensor([[0.6, 0.1, 0.5], [0.4, 0.2, 0.6], [0.7, 0.3, 0.5]])
    assert compare.read_from(lens) == [2, None, 0]


def test_tokens_are_woken_or_put_to_sleep_block_by_block() -> None:
    keep = torch.tensor([[True, True, False, True], [True, False, False, False]])
    after = torch.tensor([[True, True, True, False], [False, True, True, True]])
    clean, now = TokenMasks(keep, (0, 1), SHAPE), TokenMasks(after, (0, 1), SHAPE)
    assert compare.woken(clean, now).tolist() == [1, 3]
    assert compare.woken(now, clean).tolist() == [1, 1]
    assert compare.woken(clean, clean).tolist() == [0, 0]
