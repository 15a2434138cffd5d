"""Whether a picture is of any class that a model knows: a threshold on its largest logit.

A classifier answers one of its classes to anything. Pictures of other things tend to have a smaller
largest logit (Vaze et al., *Open-Set Recognition: A Good Closed-Set Classifier is All You Need*,
ICLR 2022). The threshold is a quantile over held-out pictures of known classes; how many pictures of
other classes fall below it is measured, and is far from all.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from engine.data.decode import decode, fit
from engine.data.folder import read_folder
from engine.data.labels import folded, imagenet_names, spellings
from engine.model.victim import Victim
from engine.model.zoo import BUNDLED, Card

FLAGGED = 0.1
BATCH = 32


@dataclass(frozen=True)
class Familiar:
    """Below `threshold` a model is not sure of any class: so are `flags` of `known` pictures of its
    classes, and `catches` of `strangers`, pictures of other classes."""

    threshold: float
    flags: float
    catches: float
    known: int
    strangers: int


def of(card: Card) -> Familiar | None:
    """What a model's card says; None where it was not measured."""
    found: Any = card.measured.get("familiar")
    return Familiar(**found) if isinstance(found, dict) else None


def calibrate(known: Tensor, strangers: Tensor, flagged: float = FLAGGED) -> Familiar:
    """The threshold that flags the share `flagged` of known pictures, from largest logits (n,)."""
    threshold = float(known.quantile(flagged))
    return Familiar(
        round(threshold, 4),
        round(float((known < threshold).float().mean()), 4),
        round(float((strangers < threshold).float().mean()), 4),
        len(known),
        len(strangers),
    )


def largest_logits(victim: Victim, images: Iterable[Image.Image]) -> Tensor:
    """The largest logit of each picture (n,), float32."""
    found = [
        victim.logits(torch.stack(batch).to(victim.device).float() / 255).amax(1).cpu()
        for batch in _batches(fit(image, victim.spec.input_size) for image in images)
    ]
    return torch.cat(found)


def measure(victim: Victim, known: Path, strangers: Path) -> Familiar:
    """Calibrated on a folder of pictures of the model's classes, and tried on one of ImageNet's.

    Pictures of the second folder that show one of the model's classes are left out. Raises BadFolder.
    """
    names, own = imagenet_names(), spellings(victim.spec.classes)
    others = [
        each for each in read_folder(strangers, names) if folded(names[each.label]) not in own
    ]
    mine = read_folder(known, victim.spec.classes)
    return calibrate(
        largest_logits(victim, (decode(each.path) for each in mine)),
        largest_logits(victim, (decode(each.path) for each in others)),
    )


def write(card: Card, found: Familiar) -> Path:
    """Put what was measured on a bundled model's card."""
    path = BUNDLED / f"{card.name}.json"
    told = json.loads(path.read_text(encoding="utf-8"))
    told["measured"]["familiar"] = asdict(found)
    path.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    return path


def _batches(pictures: Iterator[Tensor]) -> Iterator[list[Tensor]]:
    while batch := list(islice(pictures, BATCH)):
        yield batch
