"""A trained body behind its normalisation: the training-time form of a victim."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from engine.model.families import adapt
from engine.model.victim import Spec, Victim

Answer = Callable[[Tensor], Tensor]
"""Pixels (b, 3, y, x) to logits (b, k)."""


class Network(nn.Module):
    """Pixels in [0, 1] `(b, 3, y, x)` to whatever `body` answers on (pixels - mean) / std."""

    mean: Tensor
    std: Tensor

    def __init__(self, body: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.body = body
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def normalise(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std

    def forward(self, images: Tensor) -> Any:
        return self.body(self.normalise(images))


def frozen(net: Network, made: Callable[[nn.Module], nn.Module], size: int) -> Victim:
    """A copy of a network that classifies size x size pictures, as a victim: `made` of its body.

    Training goes on untouched, whatever is done to it. Raises UnsupportedModel.
    """
    body = made(copy.deepcopy(net.body))
    family, blocks = adapt(body, size)
    classes = tuple(map(str, range(int(body.num_classes))))  # pyright: ignore
    mean, std = (tuple(each.flatten().tolist()) for each in (net.mean, net.std))
    spec = Spec("in training", family.name, classes, size, mean, std, blocks, family.sites)
    return Victim(spec, body, family)
