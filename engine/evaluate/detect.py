"""A detector by cost: a picture that makes a model do more than clean ones do is flagged."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Real
from torch import Tensor

from engine.core.errors import EngineError
from engine.core.shapes import PerExample


@dataclass(frozen=True)
class Detector:
    """Flags a picture whose cost, in whatever is counted, is above `limit`."""

    limit: float

    @staticmethod
    def calibrated(clean: PerExample, false_alarms: float) -> Detector:
        """The limit that flags at most this share of new clean pictures, on average.

        The ceil((n + 1)(1 - share))-th smallest of n clean costs (split conformal prediction):
        exact for exchangeable pictures whatever their distribution. Raises EngineError where n is
        too small for the share.
        """
        rank = math.ceil((len(clean) + 1) * (1 - false_alarms))
        if rank > len(clean):
            raise EngineError(
                f"{len(clean)} clean pictures cannot promise {false_alarms:.1%} false alarms.",
                f"Take at least {math.ceil(1 / false_alarms) - 1 if false_alarms else 'infinitely many'}.",
            )
        return Detector(float(clean.sort().values[rank - 1]))

    def flags(self, costs: PerExample) -> Tensor:
        """Which pictures are flagged (b,)."""
        return costs > self.limit


@dataclass(frozen=True)
class Roc:
    """Per limit, the share of clean pictures flagged and of attacked ones caught; limits fall.

    Starts at (0, 0) and ends at (1, 1); `area` is P(attacked > clean) + P(equal) / 2.
    """

    limits: Tensor
    false_alarms: Tensor
    caught: Tensor

    @property
    def area(self) -> float:
        return float(torch.trapezoid(self.caught, self.false_alarms))

    def at(self, false_alarms: float) -> float:
        """The largest share caught by a limit that flags at most this share of the clean pictures."""
        return float(self.caught[self.false_alarms <= false_alarms].amax())


def roc(clean: PerExample, attacked: Real[Tensor, " a"]) -> Roc:
    """The detector's curve over all limits at which something changes."""
    clean, attacked = clean.double(), attacked.double()
    steps = torch.cat((clean, attacked)).unique().flip(0)
    limits = torch.cat((steps.new_tensor([math.inf]), steps))
    return Roc(
        limits,
        (clean >= limits[:, None]).double().mean(1),
        (attacked >= limits[:, None]).double().mean(1),
    )
