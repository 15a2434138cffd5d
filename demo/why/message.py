"""The comparison as JSON for the page: small while it runs, with all maps when it ends."""

from __future__ import annotations

from typing import Any

import torch

from demo.kit.packing import pack, png
from demo.why.inquiry import Inquiry
from engine.attack.places import COMPONENTS
from engine.core.figures import number, table
from engine.model import zoo
from engine.model.titles import shorts
from engine.papers.tgr import paper
from engine.papers.tgr.compare import VARIANTS, Comparison, parts
from engine.papers.tgr.effects import (
    MEASURES,
    SCALE_FREE,
    SO,
    Effect,
    Zeroed,
    effects,
    fooled,
    unevenness,
    zeroed,
)


def opened(inquiry: Inquiry, found: Comparison) -> dict[str, Any]:
    """The comparison begins, with the picture, which does not change."""
    return live(inquiry, found) | {"kind": "open", "picture": png(found.subject.pixels)}


def live(inquiry: Inquiry, found: Comparison) -> dict[str, Any]:
    """The report so far, as the command line writes it, and what it says: see `effects`. No maps."""
    exhibit, spec = inquiry.exhibit, found.subject.victim.spec
    had = parts(spec, inquiry.tgr)
    titles = {name: zoo.card(name, exhibit.weights).title for name in exhibit.models}
    said = {each: effects(found.rounds, each) for each in MEASURES} if found.rounds else {}
    return {
        "kind": "live",
        "run": inquiry.id,
        "shorts": shorts(titles),
        "lacking": [part for part in COMPONENTS if part not in had],
        "convolutional": not any(shape.heads for shape in spec.blocks),
        "depth": spec.depth,
        "so": SO,
        "report": paper.summary(exhibit, found),
        "effects": {
            measure: {name: _effect(each, measure in SCALE_FREE) for name, each in its.items()}
            for measure, its in said.items()
        },
    }


def ended(inquiry: Inquiry, found: Comparison) -> dict[str, Any]:
    """All there is: with the maps, and with what the models say to the saved pictures."""
    judged, counts = fooled(found.answers, inquiry.exhibit.model)
    return opened(inquiry, found) | {
        "kind": "ended",
        "zeroed": {name: _maps(found, i) for i, name in enumerate(VARIANTS)},
        "judged": judged,
        "fooled": dict(zip(VARIANTS, counts, strict=True)),
    }


def _effect(found: Effect, scale_free: bool) -> dict[str, Any]:
    """By block over all steps; its ratio to MI-FGSM's, and what that says, by step and over all."""
    made: dict[str, Any] = {"blocks": table(found.blocks[-1]), "ratio": table(found.ratio)}
    if scale_free:
        made["so"] = [[unevenness(each) for each in row] for row in found.ratio.tolist()]
    return made


def _maps(found: Comparison, variant: int) -> list[list[dict[str, Any] | None]]:
    """By block, then of all blocks, and component: the share of each token, by step and over all.

    A step's share in one block counts channels, so 255ths tell it; means come as float16.
    """
    shapes = found.subject.victim.spec.blocks
    *blocks, whole = zeroed([each[variant] for each in found.rounds], shapes)
    single = [[each and _map(each, torch.uint8) for each in row] for row in blocks]
    return [*single, [each and _map(each, torch.float16) for each in whole]]


def _map(found: Zeroed, kind: torch.dtype) -> dict[str, Any]:
    steps = found.shares[:-1]
    return {
        "prefix": found.prefix,
        "grid": list(found.grid),
        "mean": [number(each) for each in found.shares.mean(1).tolist()],
        "top": found.shares.argmax(1).tolist(),
        "steps": pack((255 * steps).round().to(kind) if kind == torch.uint8 else steps.to(kind)),
        "all": pack(found.shares[-1].half()),
    }
