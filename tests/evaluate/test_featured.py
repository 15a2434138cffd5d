"""What models make of saved pictures: the same in one pass and in several, and near itself."""

from __future__ import annotations

import pytest
import torch

from engine.attack.attack import observe
from engine.evaluate import feature
from engine.evaluate.feature import featured
from engine.evaluate.judge import predict, shown
from engine.model.sites import Site
from tests import tiny


def test_pictures_are_featured_alike_in_any_number_of_passes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    victim = tiny.victim("vit_qk_norm_layer_scale")
    pixels = (tiny.task(5).images * 255).round().to(torch.uint8)
    whole = featured(victim, pixels)
    monkeypatch.setattr(feature, "AT_ONCE", 2)
    parts = featured(victim, pixels)
    torch.testing.assert_close(parts.values, whole.values)
    assert torch.equal(whole.answers, predict(victim, pixels))
    torch.testing.assert_close(whole.near(parts), torch.ones(5, dtype=torch.float64))
    (value,) = observe(victim, shown(pixels, victim).double(), {Site.FEATURE}).values(Site.FEATURE)
    torch.testing.assert_close(whole.values, value)
