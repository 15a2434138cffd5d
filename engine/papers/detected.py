"""How well a count tells attacked pictures from clean ones, as a study keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from engine.core.shapes import PerExample
from engine.evaluate.detect import Detector, roc
from engine.evaluate.interval import Estimate, Rate, bootstrap, mean


@dataclass(frozen=True)
class Detected:
    """The detector by count: its ROC curve, the area under it, and one calibrated limit in use.

    At `limit`, calibrated for `alarm` (share) false alarms, `caught` % of attacks are flagged and
    `flagged` % of clean pictures.
    """

    false_alarms: tuple[float, ...]
    hits: tuple[float, ...]
    area: Estimate
    alarm: float
    limit: float
    caught: Rate
    flagged: Rate

    @staticmethod
    def by(quiet: Tensor, clean: PerExample, hit: PerExample) -> Detected:
        """From the counts of n pictures, clean and attacked; `quiet` of others sets the limit."""
        area = bootstrap(partial(_area, clean, hit), len(clean), draws=200)
        alarm = max(0.05, 1 / len(quiet))
        detector = Detector.calibrated(quiet, alarm)
        caught, false = (_rate(detector.flags(each)) for each in (hit, clean))
        curve = roc(clean, hit)
        alarms, hits = (tuple(each.tolist()) for each in (curve.false_alarms, curve.caught))
        return Detected(alarms, hits, area, alarm, detector.limit, caught, false)


def _rate(flagged: Tensor) -> Rate:
    values = flagged.double() * 100
    return Rate.of(mean(values), len(values))


def _area(clean: Tensor, hit: Tensor, weights: Tensor) -> Tensor:
    """Area under the detector's curve for each resampled set of pictures (d,)."""
    picked = [torch.arange(len(w)).repeat_interleave(w.long()) for w in weights]
    return torch.tensor([roc(clean[p], hit[p]).area for p in picked], dtype=torch.float64)
