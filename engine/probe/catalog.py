"""The probes, in display order. A newcomer adds one file beside this one and one line here."""

from __future__ import annotations

from typing import Any

from engine.probe import attention, depth, gradients, outliers, scores, tokens
from engine.probe.probe import Probe

PROBES: tuple[Probe[Any], ...] = (
    attention.PROBE,
    gradients.PROBE,
    scores.PROBE,
    tokens.PROBE,
    outliers.PROBE,
    depth.PROBE,
)
BY_NAME = {probe.name: probe for probe in PROBES}
