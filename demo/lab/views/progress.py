"""What is sent while a run is under way: small, so that five a second are no burden."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from demo.kit.packing import png, shown
from engine.core.figures import number
from engine.studio import Run, Stepped

RESTORE: dict[str, Any] = {"kind": "restore"}
LIKELIEST = 5


def opened(run: Run, run_id: str) -> dict[str, Any]:
    """The run has begun: the clean picture, what the model says to it, and the goal."""
    target = run.request.target
    names = run.victim.spec.classes
    return {
        "kind": "open",
        "run": run_id,
        "asked": run.attack.steps,
        "eps": number(run.request.recipe.eps * 255),
        "label": run.label,
        "label_name": shown(names[run.label]),
        "target": target,
        "target_name": None if target is None else shown(names[target]),
        "shapes": [
            {"heads": s.heads, "prefix": s.prefix, "tokens": s.tokens, "grid": list(s.grid)}
            for s in run.victim.spec.blocks
        ],
        "picture": png(run.clean),
        "bars": _bars(run, run.clean_probabilities),
    }


def live(event: Stepped, run: Run, run_id: str) -> dict[str, Any]:
    """One step is done: its number, loss, the picture, and what the model said on the way."""
    return {
        "kind": "live",
        "run": run_id,
        "step": event.step,
        "asked": event.steps,
        "losses": [number(loss) for loss in run.losses],
        "success": event.success,
        "seconds": number(event.seconds),
        "picture": png(event.pixels),
        "bars": _bars(run, event.probabilities),
    }


def _bars(run: Run, probabilities: Tensor) -> list[dict[str, Any]]:
    """The likeliest classes, and whatever the clean picture, the label and the target named."""
    count = min(LIKELIEST, len(probabilities))
    both = (probabilities, run.clean_probabilities)
    likely, first = (each.topk(count).indices.tolist() for each in both)
    target = run.request.target
    wanted: list[int] = [*likely, *first, run.label, *([] if target is None else [target])]
    return [
        {
            "index": i,
            "name": shown(run.victim.spec.classes[i]),
            "p": number(float(probabilities[i])),
        }
        for i in dict.fromkeys(wanted)
    ]
