"""Whether a picture is of any class that a model knows: a threshold on its largest logit.

A classifier answers one of its classes to anything. Pictures of other things tend to have a smaller
largest logit (Vaze et al., *Open-Set Recognition: A Good Closed-Set Classifier is All You Need*,
ICLR 2022). The threshold is a quantile over held-out pictures of known classes; how many pictures of
other classes fall below it is measured, and is far from all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from engine.data.decode import fit
from engine.model.victim import Victim
from engine.model.zoo import Card

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


def as_data(found: Familiar) -> dict[str, Any]:
    return asdict(found)


def _batches(pictures: Iterator[Tensor]) -> Iterator[list[Tensor]]:
    while batch := list(islice(pictures, BATCH)):
        yield batch
