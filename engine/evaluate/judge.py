"""What a model says to a saved picture."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.attack.attack import observe
from engine.attack.criterion import Criterion
from engine.core.shapes import Images, Labels
from engine.model.task import task_for
from engine.model.victim import Victim


def shown(pixels: Tensor, victim: Victim) -> Images:
    """8-bit pictures (b, 3, y, x) as the victim receives them: pixels / 255 at its input size.

    A picture of another size is resized as floats, after the rounding to 8 bits: bicubic,
    antialiased, clamped to [0, 1].
    """
    x = pixels.to(victim.device).float() / 255
    size = victim.spec.input_size
    if x.shape[-2:] == (size, size):
        return x
    resized = F.interpolate(x, (size, size), mode="bicubic", antialias=True, align_corners=False)
    return resized.clamp(0, 1)


def predict(victim: Victim, pixels: Tensor) -> Labels:
    """The victim's classes for 8-bit pictures, over all its own classes: int64 (b,) on the CPU.

    An altered victim sees them one by one, for in an int8 one batch-mates share columns.
    """
    alone = 1 if victim.spec.alterations else len(pixels)
    with torch.no_grad(), victim.session() as forward:
        return torch.cat(
            [forward(shown(each, victim)).logits.argmax(1).cpu() for each in pixels.split(alone)]
        )


def reached(
    victim: Victim, clean: Tensor, saved: Tensor, labels: Labels, criterion: Criterion
) -> list[bool] | None:
    """Where the criterion is reached on 8-bit pictures, one by one; None where it cannot be seen."""
    if criterion.lacks(victim.spec):
        return None
    found: list[bool] = []
    for before, after, label in zip(clean.split(1), saved.split(1), labels.split(1), strict=True):
        first, now = (observe(victim, shown(x, victim), criterion.sites) for x in (before, after))
        task = task_for(victim, shown(before, victim), label)
        found.append(bool(criterion.reached(first, now, task)))
    return found
