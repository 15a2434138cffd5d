"""A report as one JSON object: what the linked views of `cost_tokens.js` draw from, all counted; and
the study that `sections` speaks of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from demo.cost_tokens.trial import Trial
from demo.kit.packing import pack, png, png_of, rounded, shown
from demo.kit.reporting import measured, opening
from engine.attack.recipes.slowformer import SlowFormer
from engine.attack.universal import Universal
from engine.core.figures import number
from engine.papers.desparsify import export
from engine.papers.desparsify.compare import ATTACKED, CLEAN, Elsewhere, Moment, Report
from engine.papers.desparsify.passes import Pass
from engine.papers.export import Made

MOST_FRAMES = 61


def message(trial: Trial, found: Report) -> dict[str, Any]:
    """All that is known so far of a run."""
    assert trial.made is not None
    asked, clean = trial.question, found.seen[CLEAN]
    exported = export.summary(found, trial.made)
    depth, tokens = clean.keep.shape
    return {
        **opening(trial, exported, export.table(exported), _saved(found, exported)),
        "model": {"name": found.model, "title": asked.choice["model"]},
        "mechanism": found.mechanism,
        "attack": {
            "name": trial.made.attack,
            "title": asked.title,
            **_patch(trial.made),
            **_universal(trial.made.recipe),
        },
        "linf": found.linf,
        "steps": found.steps,
        "asked": found.asked,
        "blocks": depth,
        "sparse": list(found.sparse),
        "tokens": tokens,
        "prefix": found.prefix,
        "grid": list(found.grid),
        "heads": 0 if clean.heads is None else clean.heads.shape[1],
        "slots": tokens * len(found.sparse),
        "dense": found.dense,
        "formula": dict(found.formula),
        "seen": {
            name: {"picture": png(found.pixels[name])} | _pass(found, each)
            for name, each in found.seen.items()
        },
        "frames": [{"step": each.step} | _pass(found, each.seen) for each in _thinned(found.path)],
        "elsewhere": [_elsewhere(each) for each in found.elsewhere],
        "batch": [asdict(each) for each in found.batch],
        "defences": [asdict(each) for each in found.defences],
        **measured(found),
    }


def _pass(found: Report, seen: Pass) -> dict[str, Any]:
    """One pass, and what is woken and put to sleep in it against the clean picture's."""
    clean = found.seen[CLEAN]
    woken, slept = seen.woken(clean), clean.woken(seen)
    sparse = list(found.sparse)
    return {
        "answer": shown(found.classes[seen.answer]),
        "p": number(seen.probability),
        "kept": seen.answer == clean.answer,
        "macs": seen.macs,
        "gap": number(found.closed(seen.macs)),
        "utilisation": number(seen.utilisation),
        "asleep": int((~seen.keep[sparse]).sum()),
        "woke": int(woken.sum()),
        "put": int(slept.sum()),
        "keep": _bits(seen.keep),
        "tokens": seen.tokens.tolist(),
        "woken": woken.sum(1).tolist(),
        "slept": slept.sum(1).tolist(),
        **_halting(found, seen),
        "heads": _bits(seen.heads),
        "sublayers": _bits(seen.sublayers),
        "heads_on": None if seen.heads is None else int(seen.heads.sum()),
        "sublayers_on": None if seen.sublayers is None else int(seen.sublayers.sum()),
    }


def _halting(found: Report, seen: Pass) -> dict[str, Any]:
    """Of A-ViT: the blocks that each token goes through, and how many tokens end in each block."""
    if found.mechanism != "A-ViT":
        return {"depth": None, "halts": None}
    depth = seen.depth
    ends = torch.bincount(depth.clamp_min(1) - 1, minlength=len(seen.keep))
    return {"depth": depth.tolist(), "halts": ends.tolist()}


def _bits(values: Tensor | None) -> dict[str, Any] | None:
    """0 and 1, a byte each."""
    return None if values is None else pack(values.to(torch.uint8))


def _thinned(path: Sequence[Moment]) -> list[Moment]:
    """At most MOST_FRAMES, evenly, first and last always."""
    last, most = len(path) - 1, MOST_FRAMES - 1
    places = range(len(path)) if last <= most else [round(i * last / most) for i in range(most + 1)]
    return [path[each] for each in places]


def _elsewhere(each: Elsewhere) -> dict[str, Any]:
    """Another model, with the share of what it spares on the clean picture that is taken from it."""
    spared = each.dense - each.clean
    return asdict(each) | {"gap": number((each.attacked - each.clean) / spared) if spared else None}


def _patch(made: Made) -> dict[str, Any]:
    """The side in pixels of what covers a corner instead of changing every pixel a little."""
    by = made.recipe
    return {"side": round(by.patch * made.card.input_size)} if isinstance(by, SlowFormer) else {}


def _universal(made: object) -> dict[str, Any]:
    """What the file of something trained beforehand says of it."""
    if not isinstance(made, Universal):
        return {}
    figures: Mapping[str, Any] = made.measured.figures if made.measured else {}
    return {
        "kind": made.kind,
        "label": made.label,
        "eps": number(made.eps),
        "side": made.side,
        "epochs": made.epochs,
        "pictures": made.pictures,
        "measured": made.measured
        and {
            "pictures": made.measured.pictures,
            **{name: rounded(asdict(each)) for name, each in figures.items()},
        },
    }


def _saved(found: Report, exported: dict[str, Any]) -> str:
    """The attacked picture, with what it was made of."""
    told = ("picture", "model", "victim", "attack", "seed", "steps", "linf_255")
    return png_of(found.pixels[ATTACKED], {key: exported[key] for key in told})
