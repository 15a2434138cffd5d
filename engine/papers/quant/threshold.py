"""Where outliers begin: one rule on one set of pictures, so that every page says the same number."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakKeyDictionary

import torch
from torch import nn

from engine.alter.quantize.peaks import Peaks
from engine.core.shapes import Images
from engine.data.decode import fit
from engine.data.samples import pictures
from engine.evaluate.judge import shown
from engine.model import zoo
from engine.model.victim import Victim

PUBLISHED = 6.0
SHARE = 0.005
MOST_HELD = 8  # pictures in one pass: a large model's activations have to fit


@dataclass(frozen=True)
class Threshold:
    """The int8 victim's threshold: which share of the columns of `pictures` clean pictures reaches
    it, which reaches the published 6.0, and whether it was set by such a share. Columns are the
    float model's, since the int8 one depends on the threshold."""

    value: float
    share: float
    at_published: float
    pictures: int
    calibrated: bool


@dataclass(frozen=True)
class Calibration:
    """The float model's column peaks on clean pictures, by size: any threshold follows from them."""

    peaks: torch.Tensor
    pictures: int

    @staticmethod
    def of(victim: Victim, images: Images) -> Calibration:
        """From pictures (n, 3, y, x) as the victim receives them."""
        parts = [
            peak.flatten().half().cpu()
            for batch in images.split(MOST_HELD)
            for peak in Peaks.of(victim, batch).columns.values()
        ]
        return Calibration(torch.cat(parts).float().sort().values, len(images))

    def share(self, threshold: float) -> float:
        """The share of columns that reach a threshold."""
        below = torch.searchsorted(self.peaks, torch.tensor(threshold).half().float())
        return 1 - float(below) / len(self.peaks)

    def set_by(self, share: float) -> Threshold:
        """The threshold that this share of columns reaches."""
        place = min(int((1 - share) * len(self.peaks)), len(self.peaks) - 1)
        return self._at(float(self.peaks[place]), calibrated=True)

    def fixed(self, value: float) -> Threshold:
        """A threshold that was chosen as a number."""
        return self._at(value, calibrated=False)

    def _at(self, value: float, *, calibrated: bool) -> Threshold:
        return Threshold(value, self.share(value), self.share(PUBLISHED), self.pictures, calibrated)


_KEPT: WeakKeyDictionary[nn.Module, Calibration] = WeakKeyDictionary()
_KEEPING = threading.Lock()


def calibration(victim: Victim) -> Calibration:
    """On all sample pictures that are here; measured once while the model is loaded."""
    with _KEEPING:
        kept = _KEPT.get(victim.module)
    if kept is None:
        pixels = torch.stack([fit(each, victim.spec.input_size) for each in pictures()])
        kept = Calibration.of(victim, shown(pixels, victim))
        with _KEEPING:
            _KEPT[victim.module] = kept
    return kept


def is_calibrated(card: zoo.Card) -> bool:
    """Whether a model's usual threshold is set by SHARE of clean columns instead of the published
    6.0: the bundled networks are so small that next to none of their inputs reaches it (spec C6)."""
    return card.source == "bundled"


def usual(name: str, weights: Path | None = None) -> Threshold | None:
    """The threshold that every page takes for a model of the zoo unless told otherwise; None where
    that is the published 6.0, for which nothing has to be measured."""
    if not is_calibrated(zoo.card(name, weights)):
        return None
    return calibration(zoo.load(name, weights)).set_by(SHARE)
