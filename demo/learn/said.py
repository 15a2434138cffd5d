"""What several lessons say: answers and shares in words, and papers that more than one of them rests on."""

from __future__ import annotations

from html import escape

from engine.studio import Result
from engine.studio.result import Frame

MADRY = (
    "Madry et al., <i>Towards Deep Learning Models Resistant to Adversarial Attacks</i>, ICLR 2018"
)
DONG = "Dong et al., <i>Boosting Adversarial Attacks with Momentum</i>, CVPR 2018"


def percent(share: float) -> str:
    """A share in whole percent."""
    return f"{100 * share:.0f} %"


def says(of: Result, frame: Frame) -> str:
    """The answer to a frame's picture, and how sure it is."""
    return f"<b>{escape(of.name(frame.top))}</b> ({percent(float(frame.probabilities.max()))})"


def true(of: Result, frame: Frame) -> float:
    """What a frame's picture is given of the class that the clean one has."""
    return float(frame.probabilities[of.label])
