"""The comparison as JSON for the page: small while it runs, with all maps when it ends."""

from __future__ import annotations

import hashlib
from typing import Any

import torch

from demo.kit.packing import number, pack, png, shown, table
from demo.transfer.message import shorts
from demo.why.inquiry import VARIANTS, Ended, Inquiry, Question
from engine.attack.places import COMPONENTS
from engine.model import zoo
from engine.papers.tgr import compare as why
from engine.papers.tgr.compare import Case, Reading

MEASURES = ("variance", "dispersion", "kurtosis")
RESTORE = {"kind": "restore"}


def opened(inquiry: Inquiry, case: Case) -> dict[str, Any]:
    """What does not change while the comparison runs."""
    asked = inquiry.question
    spec, tgr = case.source.spec, asked.tgr
    card = zoo.card(asked.source, asked.weights)
    had = why.parts(spec, tgr)
    return {
        "kind": "open",
        "run": inquiry.id,
        "source": {
            "name": asked.source,
            "short": shorts({asked.source: card.title})[asked.source],
            "title": card.title,
            "sha256": card.sha256,
        },
        "label": shown(case.called),
        "label_given": asked.label is not None,
        "picture": png(case.pixels),
        "original": _identity(asked),
        "seed": asked.seed,
        "asked": tgr.steps,
        "eps": number(tgr.eps * 255),
        "k": tgr.k,
        "factors": [number(getattr(tgr, part)) for part in COMPONENTS],
        "site": tgr.site,
        "mode": tgr.mode,
        "chosen": list(tgr.parts(spec)),
        "lacking": [part for part in COMPONENTS if part not in had],
        "convolutional": not any(shape.heads for shape in spec.blocks),
        "shapes": [{"prefix": each.prefix, "grid": list(each.grid)} for each in spec.blocks],
    }


def _identity(asked: Question) -> dict[str, Any]:
    """What tells the picture from all others: its name, its size, SHA-256 of its 8-bit RGB rows."""
    image = asked.image
    return {
        "name": asked.picture,
        "width": image.width,
        "height": image.height,
        "sha256": hashlib.sha256(image.tobytes()).hexdigest(),
    }


def live(inquiry: Inquiry) -> dict[str, Any]:
    """The readings so far without their maps."""
    return {"kind": "live", "run": inquiry.id, **_numbers(inquiry)}


def ended(inquiry: Inquiry, event: Ended) -> dict[str, Any]:
    """All readings with maps, and what the models say to the saved pictures."""
    asked = inquiry.question
    cards = {name: zoo.card(name, asked.weights) for name in event.answers}
    brief = shorts({name: card.title for name, card in cards.items()})
    return {
        "kind": "ended",
        "run": inquiry.id,
        **_numbers(inquiry),
        "extremes": _maps(inquiry),
        "models": [
            {
                "name": name,
                "short": brief[name],
                "title": cards[name].title,
                "sha256": cards[name].sha256,
                "source": name == asked.source,
                "answers": [
                    {
                        "answer": shown(each.answer),
                        "p": None if each.probability is None else number(each.probability),
                        "fooled": each.fooled,
                    }
                    for each in found
                ],
            }
            for name, found in event.answers.items()
        ],
    }


def _numbers(inquiry: Inquiry) -> dict[str, Any]:
    """Per variant and round: loss, probability of the true class, and [block][component] measures."""
    runs = {name: [each[i] for each in inquiry.rounds] for i, name in enumerate(VARIANTS)}
    return {
        "done": len(inquiry.rounds),
        "losses": {name: [number(each.loss) for each in run] for name, run in runs.items()},
        "probabilities": {
            name: [number(each.probability) for each in run] for name, run in runs.items()
        },
        **{
            measure: {
                name: [table(getattr(each, measure)) for each in run] for name, run in runs.items()
            }
            for measure in MEASURES
        },
    }


def _maps(inquiry: Inquiry) -> dict[str, Any]:
    """Shares in 255ths, all rounds, blocks and components end to end; `lengths` takes them apart."""
    if not inquiry.rounds:
        return {"lengths": [], "values": {}}
    first = inquiry.rounds[0][0]
    return {
        "lengths": [[0 if part is None else len(part) for part in row] for row in first.extremes],
        "values": {
            name: pack(torch.cat([_flat(each[i]) for each in inquiry.rounds]))
            for i, name in enumerate(VARIANTS)
        },
    }


def _flat(reading: Reading) -> torch.Tensor:
    parts = [part for row in reading.extremes for part in row if part is not None]
    return (torch.cat(parts) * 255).round().to(torch.uint8)
