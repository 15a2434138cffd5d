"""What a comparison says is read off its readings; each number against one worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import geometric_mean

import pytest
import torch

from engine.core.streams import Streams
from engine.model.victim import BlockShape
from engine.papers.tgr.compare import Answer, Reading, Variant
from engine.papers.tgr.effects import SAME, SO, effects, fooled, unevenness, zeroed

NAMES: tuple[Variant, ...] = ("baseline", "gamma", "zeroing", "both", "random")
# A pooling model: the first block's map is 4 x 4, the second's 2 x 2 without a prefix token.
SHAPES = (BlockShape(2, 8, 1, (4, 4)), BlockShape(2, 8, 0, (2, 2)))


def reading(variant: Variant, step: int) -> Reading:
    gen = Streams(7).at("reading", variant, step)
    dispersion, kurtosis = torch.rand(2, 2, 3, generator=gen).exp().unbind()
    variance = torch.rand(2, 3, generator=gen)
    if variant == "zeroing":
        variance[1, 2], dispersion[1, 2] = 0, torch.nan  # the rule wiped this place out
    counts = [shape.prefix + math.prod(shape.grid) for shape in SHAPES]
    maps = [[torch.rand(n, generator=gen), torch.rand(n, generator=gen), None] for n in counts]
    pixels = torch.zeros(3, 2, 2, dtype=torch.uint8)
    extremes = tuple(map(tuple, maps))
    return Reading(variant, step, 1.0, 0.5, variance, dispersion, kurtosis, extremes, pixels)


ROUNDS = [[reading(name, step) for name in NAMES] for step in range(3)]


def test_an_effect_is_the_geometric_mean_of_ratios_to_mifgsm() -> None:
    found = effects(ROUNDS, "variance")
    for i, name in enumerate(NAMES):
        for column in range(3):
            own, base = ([its[j].variance[:, column] for its in ROUNDS] for j in (i, 0))
            typical: list[list[float]] = []
            for tables in (own, base):
                blocks = torch.stack(tables).unbind(1)
                kept = [[v for v in block.tolist() if v > 0] for block in blocks]
                typical.append([geometric_mean(v) if v else math.nan for v in kept])
            for step in range(4):
                at = (own[step], base[step]) if step < 3 else map(torch.tensor, typical)
                ratios = [a / b for a, b in zip(*(each.tolist() for each in at), strict=True)]
                wanted = geometric_mean([each for each in ratios if each > 0])
                assert float(found[name].ratio[step, column]) == pytest.approx(wanted, rel=1e-6)
            blocks = found[name].blocks[-1, :, column].tolist()
            assert blocks == pytest.approx(typical[0], rel=1e-6, nan_ok=True)
    assert bool((found["baseline"].ratio == 1).all())


def test_what_is_zero_everywhere_has_no_ratio_and_no_verdict() -> None:
    zero = [[replace(each, variance=0 * each.variance) for each in its] for its in ROUNDS]
    ratio = effects(zero, "variance")["both"].ratio
    assert bool(ratio.isnan().all())
    assert unevenness(float(ratio[0, 0])) is None


@pytest.mark.parametrize(
    ("ratio", "said"),
    [
        (SAME * 1.001, "more"),
        (SAME, "same"),
        (1.0, "same"),
        (1 / SAME, "same"),
        (0.999 / SAME, "less"),
    ],
)
def test_only_a_clear_change_of_a_scale_free_measure_is_called_one(ratio: float, said: str) -> None:
    assert unevenness(ratio) == said
    assert said in SO


def test_scaling_a_gradient_changes_its_scale_and_not_its_unevenness() -> None:
    """A factor multiplies the variance by its square: the verdict must not call that calmer."""
    g = torch.randn(1000, generator=Streams(1).at("g"))
    scaled = 0.25 * g
    ratios = [
        float(scaled.var() / g.var()),
        float(scaled.var() / scaled.abs().mean() ** 2 / (g.var() / g.abs().mean() ** 2)),
    ]
    assert ratios[0] == pytest.approx(1 / 16, rel=1e-5)
    assert unevenness(ratios[1]) == "same"


def test_shares_of_steps_and_blocks_are_plain_means_where_the_patches_lie() -> None:
    readings = [its[3] for its in ROUNDS]
    *blocks, whole = zeroed(readings, SHAPES)
    assert [each[2] for each in (*blocks, whole)] == [None] * 3
    for column in range(2):
        for block, row in enumerate(blocks):
            found = row[column]
            assert found is not None
            for step in range(3):
                assert torch.equal(found.shares[step], readings[step].extremes[block][column])
            assert torch.allclose(found.shares[3], found.shares[:3].mean(0))
        first, second, joined = (each[column] for each in (*blocks, whole))
        assert (joined.prefix, joined.grid) == (1, (4, 4))
        assert torch.equal(joined.shares[:, 0], first.shares[:, 0])  # the only class token
        for patch in range(16):
            row, line = divmod(patch, 4)
            coarse = second.shares[:, (row // 2) * 2 + line // 2]
            wanted = (first.shares[:, 1 + patch] + coarse) / 2
            assert torch.allclose(joined.shares[:, 1 + patch], wanted)


def test_only_targets_that_had_the_picture_right_are_counted() -> None:
    def answers(*those: bool | None) -> tuple[Answer, ...]:
        return tuple(Answer("x", None if each is None else 0.5, each) for each in those)

    told = {
        "source": answers(False, True, True, True),
        "right": answers(False, True, False, True),
        "also right": answers(False, False, False, True),
        "wrong already": answers(True, True, True, True),
        "knows no such class": answers(None, None, None, None),
    }
    assert fooled(told, "source") == (2, [1, 0, 2])
    assert fooled({"source": told["source"]}, "source") == (0, [0, 0, 0])
