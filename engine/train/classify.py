"""Plain supervised training, with or without teachers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from engine.train.losses import cross_entropy
from engine.train.network import Network
from engine.train.pictures import Pictures
from engine.train.recipe import Target, Turn
from engine.train.temper import saturated, untempered


@dataclass(frozen=True)
class Classify:
    """Cross-entropy with the blended target: L = CE(f(x), (1 - w) y + w p_teacher).

    The teacher sees the very picture the student sees, mixed and cropped (Beyer et al., 2022).
    """

    def wrap(self, backbone: nn.Module) -> nn.Module:
        return backbone

    def loss(self, net: Network, images: Tensor, target: Target, at: Turn) -> Tensor:
        return cross_entropy(net(images), target.blend)

    def finished(self, body: nn.Module) -> nn.Module:
        return body

    def card(self, net: Network, val: Pictures) -> dict[str, dict[str, Any]]:
        return {}


@dataclass(frozen=True)
class Saturated(Classify):
    """Classification by attention that is `c` times as sharp: the rows of q start c times as large.

    The positive control of the masked-gradient claims: a model that has learned to be right with a
    saturated softmax. Weights learn around the scores, in evaluation mode: a gradient through
    scores c times as large, and new statistics of the stem's batch normalisation, drown the rest.
    """

    c: float

    def wrap(self, backbone: nn.Module) -> nn.Module:
        return saturated(backbone, self.c)

    def loss(self, net: Network, images: Tensor, target: Target, at: Turn) -> Tensor:
        return super().loss(net.eval(), images, target, at)

    def finished(self, body: nn.Module) -> nn.Module:
        return untempered(body)


@dataclass(frozen=True)
class TwoHeads:
    """DeiT's distillation token: L = (CE(class head, y) + CE(distillation head, p_teacher)) / 2.

    Departure from DeiT (Touvron et al., 2021): the teacher's soft probabilities, not its top label.
    """

    def wrap(self, backbone: nn.Module) -> nn.Module:
        backbone.set_distilled_training(True)  # pyright: ignore[reportCallIssue]
        return backbone

    def loss(self, net: Network, images: Tensor, target: Target, at: Turn) -> Tensor:
        of_labels, of_teacher = net(images)
        both = cross_entropy(of_labels, target.labels) + cross_entropy(of_teacher, target.teacher)
        return both / 2

    def finished(self, body: nn.Module) -> nn.Module:
        return body

    def card(self, net: Network, val: Pictures) -> dict[str, dict[str, Any]]:
        return {}
