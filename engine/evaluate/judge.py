"""What a model says to a saved picture."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.core.shapes import Images, Labels
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
    """The victim's classes for 8-bit pictures, over all its own classes: int64 (b,) on the CPU."""
    with torch.no_grad(), victim.session() as forward:
        return forward(shown(pixels, victim)).logits.argmax(1).cpu()
