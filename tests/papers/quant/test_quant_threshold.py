"""Where outliers begin: one number for a model, whoever asks and in whatever order."""

from __future__ import annotations

import pytest
import torch

from engine.alter.quantize.peaks import Peaks
from engine.evaluate.judge import shown
from engine.model import zoo
from engine.papers.quant.threshold import (
    PUBLISHED,
    SHARE,
    Calibration,
    calibration,
    is_calibrated,
    usual,
)
from tests.tiny import SIZE, victim

SOURCE = victim()
GEN = torch.Generator().manual_seed(0)
PIXELS = torch.randint(0, 256, (20, 3, SIZE, SIZE), generator=GEN, dtype=torch.uint8)
FOUND = Calibration.of(SOURCE, shown(PIXELS, SOURCE))


@pytest.mark.parametrize("share", [0.01, 0.05, 0.5])
def test_the_threshold_is_reached_by_the_share_that_was_asked_for(share: float):
    made = FOUND.set_by(share)
    peaks = Peaks.of(SOURCE, shown(PIXELS, SOURCE))
    assert made.value == peaks.threshold_for(share)
    columns = sum(each.k for each in peaks.shapes.values())
    counted = float(peaks.total(made.value).double().mean()) / columns
    assert made.share == pytest.approx(counted)
    # Ties and one column of all pictures are all that can lie between.
    assert made.share == pytest.approx(share, abs=20 / len(FOUND.peaks))
    assert (made.pictures, made.calibrated) == (20, True)


def test_a_chosen_number_is_taken_as_the_layer_compares_it():
    assert FOUND.fixed(3.0).value == 3.0
    assert FOUND.fixed(1e4).share == 0
    low = float(FOUND.peaks[len(FOUND.peaks) // 2])
    assert FOUND.share(low) > FOUND.share(low * 1.01)
    assert FOUND.share(low) == FOUND.share(low * (1 + 1e-5))  # the same float16


def test_only_the_bundled_models_are_calibrated_and_always_to_the_same_number():
    made = usual("vit_imagenette")
    assert made is not None
    assert made == calibration(zoo.load("vit_imagenette")).set_by(SHARE) == usual("vit_imagenette")
    assert made.share == pytest.approx(SHARE, rel=0.01)
    assert made.at_published < made.share
    assert made.value < PUBLISHED
    assert is_calibrated(zoo.card("pit_imagenette"))
    assert not is_calibrated(zoo.card("vit_tiny_patch16_224"))
    assert usual("vit_tiny_patch16_224") is None
