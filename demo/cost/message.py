"""A report as one JSON object: what the linked views of `cost.js` draw from, every figure of it
worked out at every threshold that the slider offers; and what `sections` says of the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from demo.cost.trial import Trial
from demo.kit.packing import pack, png, png_of, rounded, shown
from demo.kit.reporting import measured, opening
from engine.alter.quantize.cost import Cost
from engine.attack.universal import Universal
from engine.core.figures import number
from engine.papers.quant import export
from engine.papers.quant.compare import ATTACKED, CLEAN, Report, Seen
from engine.papers.quant.sweep import LEAST_SHARE, Sweep, ranked, sweep


def message(trial: Trial, found: Report) -> dict[str, Any]:
    """All that is known so far of a run."""
    assert trial.made is not None
    exported = export.summary(found, trial.made)
    clean = found.seen[CLEAN].columns
    return {
        **opening(trial, exported, export.table(exported), _saved(found, exported)),
        "model": {"name": trial.made.card.name, "title": trial.made.card.title},
        "attack": {
            "name": trial.made.attack,
            "title": trial.question.title,
            **_universal(trial.made.recipe),
        },
        "linf": found.linf,
        "steps": found.steps,
        "asked": found.asked,
        "threshold": asdict(found.threshold),
        "layers": [{"block": each.block, "slot": each.slot} for each in found.layers],
        "blocks": 1 + max(each.block for each in found.layers),
        "total": sum(each.shape.k for each in found.layers),
        "grid": found.grid and list(found.grid),
        "prefix": found.prefix,
        "kept": found.seen[CLEAN].answer == found.seen[ATTACKED].answer,
        "seen": {name: _seen(found, each) for name, each in found.seen.items()},
        "sweep": _sweep(sweep(found)),
        "bins": {
            "least": LEAST_SHARE,
            "own": {name: _half(ranked(s.columns, s.columns)) for name, s in found.seen.items()},
            "clean": {name: _half(ranked(s.columns, clean)) for name, s in found.seen.items()},
        },
        "path": [list(each) for each in found.path],
        "others": found.others,
        "defences": [rounded(asdict(each)) for each in found.defences],
        **measured(found),
    }


def _sweep(found: Sweep) -> dict[str, Any]:
    """At each threshold: counts by layer and in all, shares, ratios, tokens, unions of batches."""
    totals = {name: each.sum(1) for name, each in found.columns.items()}
    return {
        "thresholds": found.thresholds.tolist(),
        "at": found.at,
        "columns": {name: _counts(each) for name, each in found.columns.items()},
        "totals": {name: each.tolist() for name, each in totals.items()},
        "ratio": _ratios(totals),
        "shares": {name: _numbers(each) for name, each in found.shares.items()},
        "hf": {name: each.tolist() for name, each in found.hf.items()},
        "reach": {name: _counts(each) for name, each in found.reach.items()},
        "carriers": {name: _counts(each) for name, each in found.carriers.items()},
        "batches": [
            {"size": size, "ratio": _ratios(by)} | {name: by[name].tolist() for name in by}
            for size, by in found.batches.items()
        ],
    }


def _ratios(counts: Mapping[str, Tensor]) -> list[float | None]:
    """Attacked over clean; none where the clean picture has no columns."""
    return _numbers(counts[ATTACKED] / counts[CLEAN])


def _numbers(values: Tensor) -> list[float | None]:
    return [number(each) for each in values.tolist()]


def _counts(values: Tensor) -> dict[str, Any]:
    return pack(values.to(torch.uint8 if values.max() < 256 else torch.uint16))


def _half(values: Tensor) -> dict[str, Any]:
    return pack(values.half())


def _universal(made: object) -> dict[str, Any]:
    """What a universal perturbation's file says of it."""
    if not isinstance(made, Universal):
        return {}
    return {
        "threshold": number(made.settings["threshold"]),
        "epochs": made.epochs,
        "pictures": made.pictures,
        "measured": made.measured
        and {
            "pictures": made.measured.pictures,
            **asdict(made.measured.figures["outlier columns"]),
        },
    }


def _seen(found: Report, each: Seen) -> dict[str, Any]:
    return {
        "picture": png(each.pixels),
        "tokens": _half(torch.stack(each.tokens)) if each.tokens else None,
        "answer": shown(found.classes[each.answer]),
        "p": number(each.probability),
        "float_columns": each.float_columns,
        "cost": _cost(each.cost),
        "compact": _cost(each.compact),
    }


def _saved(found: Report, exported: dict[str, Any]) -> str:
    """The attacked picture, with what it was made of."""
    told = ("picture", "model", "attack", "seed", "steps", "threshold", "linf_255")
    return png_of(found.seen[ATTACKED].pixels, {key: exported[key] for key in told})


def _cost(each: Cost) -> dict[str, Any]:
    return {"int8": each.macs8, "high": each.macs16, "moved": each.moved}
