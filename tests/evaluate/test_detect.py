"""A detector by cost keeps its promise, and its curve is the rank statistic."""

from __future__ import annotations

import pytest
import torch

from engine.core.errors import EngineError
from engine.evaluate.detect import Detector, roc


def test_a_detector_keeps_its_promise_on_new_pictures():
    gen = torch.Generator().manual_seed(0)
    clean, fresh = (torch.randn(n, generator=gen) for n in (199, 4000))
    detector = Detector.calibrated(clean, 0.05)
    # 199 pictures place the limit with a standard error of 1.5 %
    assert float(detector.flags(fresh).float().mean()) == pytest.approx(0.05, abs=0.045)
    assert not bool(detector.flags(torch.tensor([detector.limit])).any())
    with pytest.raises(EngineError):
        Detector.calibrated(clean[:10], 0.05)


def test_a_roc_curve_ends_where_it_must_and_its_area_is_the_rank_statistic():
    clean, attacked = torch.tensor([1.0, 2, 2, 3]), torch.tensor([2.0, 3, 4])
    curve = roc(clean, attacked)
    assert (curve.false_alarms[0], curve.caught[0]) == (0, 0)
    assert (curve.false_alarms[-1], curve.caught[-1]) == (1, 1)
    wins = (attacked[:, None] > clean).double() + (attacked[:, None] == clean).double() / 2
    assert curve.area == pytest.approx(float(wins.mean()))
    assert roc(clean, clean).area == pytest.approx(0.5)


def test_the_share_caught_at_a_rate_of_false_alarms_is_that_of_the_best_limit_that_keeps_to_it():
    clean, attacked = torch.arange(20.0), torch.tensor([3.0, 18.0, 19.0, 30.0])
    # 5 % of 20 is one picture: the limit 19 flags that one, and two of the four attacks
    assert [roc(clean, attacked).at(rate) for rate in (0.0, 0.05, 0.1, 1.0)] == [
        0.25,
        0.5,
        0.75,
        1.0,
    ]
