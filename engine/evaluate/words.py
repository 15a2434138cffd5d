"""Shares and gains with their intervals, in words."""

from __future__ import annotations

from engine.evaluate.interval import Estimate


def apart(gain: Estimate) -> bool:
    """Whether the interval leaves zero out."""
    return not gain.low <= 0 <= gain.high


def percent(found: Estimate) -> str:
    """A share in percent, and its interval in brackets."""
    value, low, high = (100 * each for each in (found.value, found.low, found.high))
    if low == high:  # all pictures alike: resampling them says nothing of others
        return f"{value:.0f} %"
    return f"{value:.0f} % [{low:.0f}, {high:.0f}]"


def points(found: Estimate, digits: int = 0) -> str:
    """A difference of shares as points, and its interval in brackets."""
    value, low, high = (signed(each, digits) for each in (found.value, found.low, found.high))
    return f"{value} [{low}, {high}]"


def signed(share: float, digits: int = 0) -> str:
    """A share as points with their sign; what rounds to zero has none."""
    rounded = f"{100 * share:+.{digits}f}"
    return rounded.replace("-", "−") if float(rounded) else rounded[1:]
