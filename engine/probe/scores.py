"""How far the largest pre-softmax score leads, and whether float32 can still see the second."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.model.sites import Site
from engine.model.victim import Forward
from engine.probe.gradients import alike
from engine.probe.probe import Lacks, Probe, Table

SITES = frozenset({Site.SCORES})
CANCELS = 16.75
UNDERFLOWS = 104.0
PAST = {
    "float32 rounds": CANCELS,
    "float32 underflows": UNDERFLOWS,
    "float16 rounds": 8.5,
    "float16 underflows": 17.5,
    "bfloat16 rounds": 6.25,
    "bfloat16 underflows": 92.75,
}
"""Leads from which on a softmax in that precision rounds its top to 1, or its second to exactly 0
(spec AAS 3.3: a row of two scores)."""


@dataclass(frozen=True)
class ScoreGaps:
    """Delta = z_(1) - z_(2) of every row of every head, per block of one picture (spec AAS 3.3, 3.4).

    quantiles (l, 5): minimum, lower quartile, median, upper quartile, maximum. `cancels` (l,) is
    the share of rows with Delta >= 16.75, where float32 rounds the top probability to 1 and its
    own gradient to 0; `underflows` (l,) the share with Delta >= 104, where every gradient through
    the row is exactly 0.
    """

    quantiles: Tensor
    cancels: Tensor
    underflows: Tensor


def read(out: Forward, index: int = 0) -> ScoreGaps:
    """The gaps of image `index` of a pass that recorded SCORES."""
    gaps = [leads(part) for part in alike([value[index] for value in out.values(Site.SCORES)])]
    gaps = [gap.flatten(1) for gap in gaps]
    levels = gaps[0].new_tensor((0, 0.25, 0.5, 0.75, 1))
    return ScoreGaps(
        torch.cat([torch.quantile(gap, levels, dim=1).T for gap in gaps]).cpu(),
        torch.cat([(gap >= CANCELS).float().mean(1) for gap in gaps]).cpu(),
        torch.cat([(gap >= UNDERFLOWS).float().mean(1) for gap in gaps]).cpu(),
    )


def leads(scores: Tensor) -> Tensor:
    """z_(1) - z_(2) of every row (..., rows) of (..., rows, columns); one score leads by nothing."""
    if scores.shape[-1] < 2:
        return torch.zeros_like(scores[..., 0])
    top, at = scores.detach().max(-1, keepdim=True)
    second = scores.detach().scatter(-1, at, -torch.inf).amax(-1, keepdim=True)
    return (top - second).squeeze(-1)


PROBE = Probe(
    "gaps",
    "Lead of the largest pre-softmax score",
    lambda seen: read(seen.out, seen.picture),
    lambda gaps: {
        "score_gap_median": gaps.quantiles[:, 2].tolist(),
        "score_gap_maximum": gaps.quantiles[:, 4].tolist(),
        "rows_underflowing": gaps.underflows.tolist(),
    },
    Table(
        "Score gaps, by block",
        "median lead of the largest score",
        lambda gaps: {"": gaps.quantiles[:, 2].tolist()},
    ),
    Lacks(
        "does not show its pre-softmax scores here",
        "it has no softmax inside",
        "its pre-softmax scores are taken window by window",
    ),
    SITES,
)
