"""The reports of a run as one JSON object: what the linked views of `why_masked.js` draw from, all
counted."""

from __future__ import annotations

from typing import Any

import torch

from demo.kit.packing import pack, shown
from demo.kit.reporting import opening
from demo.why_masked.trial import Trial
from engine.core.figures import number, table
from engine.papers.aas.compare import Outcome, Report
from engine.papers.aas.ladder import Ladder, summary
from engine.papers.aas.ladder import table as sheet
from engine.papers.aas.masking import EDGES, Gaps
from engine.papers.aas.pooled import pooled
from engine.probe.scores import PAST


def message(trial: Trial, found: Ladder) -> dict[str, Any]:
    """All that is known so far of a run."""
    assert trial.made is not None
    asked, lowest = trial.question, found.rungs[0]
    data = summary(found, trial.made)
    return opening(trial, data, sheet(data), "") | {
        "model": {"name": asked.exhibit.model, "title": asked.choice["model"]},
        "eps": number(255 * lowest.eps),
        "steps": asked.settings.steps,
        "label": shown(lowest.classes[lowest.label]),
        "blocks": len(lowest.heads),
        "heads": list(lowest.heads),
        "edges": table(EDGES),
        "thresholds": PAST,
        "cs": list(found.cs),
        "rungs": [_rung(each) for each in found.rungs],
    }


def _rung(found: Report) -> dict[str, Any]:
    """What the model shows with its scores times one number."""
    return {
        "c": found.c,
        "verdict": found.verdict,
        "sentence": found.sentence,
        "answer": shown(found.classes[found.answer]),
        "p": number(found.probability),
        "right": found.right,
        "gaps": {name: _gaps(each) for name, each in found.gaps.items()},
        "factors": table(found.factors),
        "path": table(found.path),
        "norms": {name: table(each) for name, each in found.norms.items()},
        "cosine": table(found.cosine),
        "aligned": table(found.aligned),
        "outcomes": [_outcome(found, each) for each in found.outcomes],
        "whole": found.whole,
    }


def _gaps(found: Gaps) -> dict[str, Any]:
    of = pooled(found)
    return {
        "shares": pack(of.shares.to(torch.float16)),
        "past": {name: table(each) for name, each in of.past.items()},
        "largest": table(of.largest),
    }


def _outcome(found: Report, each: Outcome) -> dict[str, Any]:
    return {
        "name": each.name,
        "title": each.title,
        "factor": each.factor and number(each.factor),
        "answer": shown(found.classes[each.answer]),
        "p": number(each.probability),
        "fooled": each.fooled,
        "fooled_scaled": each.fooled_scaled,
        "gradients": each.gradients,
        "linf": found.linf[each.name],
    }
