"""A report as one JSON object: what `cost.js` draws from."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from typing import Any

import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from demo.cost.trial import UNIVERSAL, Trial, attack_of
from demo.kit.packing import number, pack, png, shown
from engine.alter.quantize.cost import Cost
from engine.attack.universal import Universal
from engine.core.errors import EngineError
from engine.evaluate.study import kept
from engine.model import zoo
from engine.papers.quant import export as quant_export
from engine.papers.quant.compare import ATTACKED, Report, Seen, Timing
from engine.papers.quant.findings import Findings

RESTORE: dict[str, Any] = {"kind": "restore"}


def working(trial: Trial) -> dict[str, Any]:
    """A run is under way: what stands there is of the one before."""
    return {"kind": "working", "run": trial.id, "choice": trial.choice}


def message(trial: Trial, found: Report) -> dict[str, Any]:
    """All that is known so far of a run."""
    card = zoo.card(trial.model, trial.weights)
    assert trial.made is not None
    exported = quant_export.summary(found, trial.made)
    return {
        "kind": "report",
        "run": trial.id,
        "choice": trial.choice,
        "files": {
            "stem": quant_export.stem(trial.made),
            "json": json.dumps(exported, indent=1, ensure_ascii=False) + "\n",
            "csv": quant_export.table(exported),
            "png": _saved(found, exported),
        },
        "model": {"name": trial.model, "title": card.title},
        "attack": {"name": trial.attack, "title": trial.title, **_universal(trial)},
        "eps": trial.eps,
        "linf": found.linf,
        "steps": found.steps,
        "asked": found.asked,
        "threshold": asdict(found.threshold),
        "layers": [
            {
                "block": each.block,
                "slot": each.slot,
                "k": each.shape.k,
                "column": each.shape.column,
                "hf": each.shape.hf,
            }
            for each in found.layers
        ],
        "grid": found.grid and list(found.grid),
        "prefix": found.prefix,
        "seen": {name: _seen(found, each) for name, each in found.seen.items()},
        "merged": {str(size): _packed(peaks) for size, peaks in found.merged.items()},
        "path": [list(each) for each in found.path],
        "others": found.others,
        "machine": found.machine and asdict(found.machine),
        "defences": [
            {
                "name": each.name,
                "clean": number(each.clean),
                "attacked": number(each.attacked),
                "kept": each.kept,
                "error": number(each.error),
            }
            for each in found.defences
        ],
        "times": found.times and {name: _timing(each) for name, each in found.times.items()},
        "memory": found.memory and dict(found.memory),
        "energy": found.energy and {k: number(v) for k, v in found.energy.items()},
        "metered": found.metered,
        "meter": found.meter,
        "study": study(trial.model),
    }


def _universal(trial: Trial) -> dict[str, Any]:
    """What a universal perturbation's file says of it."""
    made = attack_of(trial) if trial.attack == UNIVERSAL else None
    if not isinstance(made, Universal):
        return {}
    return {
        "eps": number(made.eps * 255),
        "threshold": number(made.threshold),
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
        "columns": _packed(each.columns),
        "tokens": _packed(each.tokens) if each.tokens else None,
        "answer": shown(found.classes[each.answer]),
        "p": number(each.probability),
        "float_columns": each.float_columns,
        "cost": _cost(each.cost),
        "compact": _cost(each.compact),
    }


def _saved(found: Report, exported: dict[str, Any]) -> str:
    """The attacked picture as a base64 PNG that holds what it was made of as text."""
    about = PngInfo()
    for key in ("picture", "model", "attack", "seed", "steps", "threshold", "linf_255"):
        about.add_itxt(key, json.dumps(exported[key], ensure_ascii=False))
    pixels = found.seen[ATTACKED].pixels.permute(1, 2, 0).contiguous()
    buffer = io.BytesIO()
    Image.fromarray(pixels.numpy()).save(buffer, "PNG", pnginfo=about)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _cost(each: Cost) -> dict[str, Any]:
    return {"int8": each.macs8, "high": each.macs16, "moved": each.moved, "peak": each.peak}


def _packed(peaks: Sequence[Tensor]) -> dict[str, Any]:
    return pack(torch.cat(list(peaks)).half())


def _timing(each: Timing) -> dict[str, Any]:
    return {
        "median": number(each.median * 1000),
        "low": number(each.low * 1000),
        "high": number(each.high * 1000),
        "rounds": each.rounds,
    }


@cache
def study(model: str) -> dict[str, Any] | None:
    """The study that ships for a model, without what the page does not draw."""
    try:
        found = kept("quant", model, Findings)
    except EngineError as problem:
        return {"missing": problem.sentence}
    return None if found is None else asdict(found.findings)
