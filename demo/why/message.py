"""The comparison as JSON for the page: small while it runs, with all maps when it ends."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch

from demo.kit.packing import pack, png
from demo.kit.picture import Picture
from demo.why.inquiry import Inquiry
from engine.attack.places import COMPONENTS
from engine.core.figures import number, table
from engine.model import zoo
from engine.model.titles import shorts
from engine.papers.tgr import compare as why
from engine.papers.tgr import export
from engine.papers.tgr.compare import VARIANTS
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
from engine.studio import Subject


def opened(inquiry: Inquiry, subject: Subject) -> dict[str, Any]:
    """What does not change while the comparison runs."""
    asked = inquiry.question
    spec, card = subject.victim.spec, zoo.card(asked.source, asked.weights)
    had = why.parts(spec, asked.tgr)
    return {
        "kind": "open",
        "run": inquiry.id,
        "short": shorts({asked.source: card.title})[asked.source],
        "picture": png(subject.pixels),
        "lacking": [part for part in COMPONENTS if part not in had],
        "convolutional": not any(shape.heads for shape in spec.blocks),
        "depth": spec.depth,
        "so": SO,
        **_read(inquiry),
    }


def live(inquiry: Inquiry) -> dict[str, Any]:
    """The readings so far without their maps."""
    return {"kind": "live", "run": inquiry.id, **_read(inquiry)}


def ended(inquiry: Inquiry) -> dict[str, Any]:
    """All readings with maps, and what the models say to the saved pictures."""
    asked = inquiry.question
    cards = [zoo.card(name, asked.weights) for name in inquiry.answers]
    judged, counts = fooled(inquiry.answers, asked.source)
    return {
        "kind": "ended",
        "run": inquiry.id,
        **_read(inquiry),
        "zeroed": {name: _maps(inquiry, i) for i, name in enumerate(VARIANTS)},
        "shorts": shorts({each.name: each.title for each in cards}),
        "judged": judged,
        "fooled": dict(zip(VARIANTS, counts, strict=True)),
    }


def _read(inquiry: Inquiry) -> dict[str, Any]:
    """The report so far, as it is saved, and what it says: see `effects`."""
    asked, rounds = inquiry.question, inquiry.rounds
    source, *targets = (zoo.card(name, asked.weights) for name in asked.models)
    picture, given = _identity(asked.picture), asked.label is not None
    said = {each: effects(rounds, each) for each in MEASURES} if rounds else {}
    return {
        "report": export.summary(inquiry.found, picture, given, source, targets),
        "effects": {
            measure: {name: _effect(each, measure in SCALE_FREE) for name, each in its.items()}
            for measure, its in said.items()
        },
    }


def _identity(picture: Picture) -> dict[str, Any]:
    """What tells the picture from all others: its name, its size, SHA-256 of its 8-bit RGB rows."""
    image = picture.image
    return {
        "name": Path(picture.name).stem,
        "width": image.width,
        "height": image.height,
        "sha256": hashlib.sha256(image.tobytes()).hexdigest(),
    }


def _effect(found: Effect, scale_free: bool) -> dict[str, Any]:
    """By block over all steps; its ratio to MI-FGSM's, and what that says, by step and over all."""
    made: dict[str, Any] = {"blocks": table(found.blocks[-1]), "ratio": table(found.ratio)}
    if scale_free:
        made["so"] = [[unevenness(each) for each in row] for row in found.ratio.tolist()]
    return made


def _maps(inquiry: Inquiry, variant: int) -> list[list[dict[str, Any] | None]]:
    """By block, then of all blocks, and component: the share of each token, by step and over all.

    A step's share in one block counts channels, so 255ths tell it; means come as float16.
    """
    spec = inquiry.found.subject.victim.spec
    *blocks, whole = zeroed([each[variant] for each in inquiry.rounds], spec.blocks)
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
