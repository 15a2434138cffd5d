"""Measuring a network on a split, in float32 and evaluation mode."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from engine.train.pictures import Pictures

BATCH = 256


def batches(pictures: Pictures, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """Pixels in [0, 1] and labels, in order, on `device`."""
    for start in range(0, len(pictures.labels), BATCH):
        images = pictures.images[start : start + BATCH].to(device)
        yield images.float() / 255, pictures.labels[start : start + BATCH].to(device)


@torch.no_grad()
def accuracy(net: nn.Module, pictures: Pictures) -> float:
    """Share of pictures whose largest logit is the true class."""
    net.eval()
    device = next(net.parameters()).device
    right = sum((net(x).argmax(1) == y).sum() for x, y in batches(pictures, device))
    return float(right) / len(pictures.labels)
