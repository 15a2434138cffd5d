"""Teachers: models whose class probabilities on the altered picture join the training target."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import timm
from torch import Tensor, nn
from torch.nn import functional as F

from engine.core.errors import EngineError
from engine.data.labels import folded, imagenet_names, spellings
from engine.model.architectures import ARCHITECTURES, INPUT_SIZE, build
from engine.train.card import read_card, read_weights
from engine.train.network import Network


class BadTeacher(EngineError):
    """A teacher is missing, or does not know the classes that are taught."""


class Teacher(nn.Module):
    """Class probabilities of a frozen network for pixels of any size: `(b, 3, y, x) -> (b, k)`.

    The picture is resized (bicubic) to the teacher's input; of its logits only those of the
    taught classes enter the softmax, as in p(class | it is one of the taught).
    """

    def __init__(self, network: Network, size: int, chosen: Sequence[int]) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.size = size
        self.chosen = list(chosen)

    def forward(self, images: Tensor) -> Tensor:
        if images.shape[-1] != self.size:
            images = F.interpolate(images, (self.size, self.size), mode="bicubic").clamp(0, 1)
        return self.network(images)[:, self.chosen].float().softmax(dim=-1)


def load_teacher(name: str, classes: Sequence[str], teachers: Path | None, models: Path) -> Teacher:
    """The teacher `name`: a bundled model from `models`, else a timm model from `teachers`.

    Raises BadTeacher if its file is missing or it does not know every class of `classes`.
    """
    if name in ARCHITECTURES:
        return _bundled_teacher(name, classes, models)
    return _timm_teacher(name, classes, teachers)


def _bundled_teacher(name: str, classes: Sequence[str], models: Path) -> Teacher:
    card = read_card(models, name)
    if tuple(card["classes"]) != tuple(classes):
        raise BadTeacher(f"The teacher {name} knows other classes.", "Train it on this data first.")
    network = Network(build(name), card["mean"], card["std"])
    network.body.load_state_dict(read_weights(models, name))
    return Teacher(network, INPUT_SIZE, range(len(classes)))


def _timm_teacher(name: str, classes: Sequence[str], teachers: Path | None) -> Teacher:
    if teachers is None:
        raise BadTeacher(f"The teacher {name} needs a folder of timm weights.", "Give --teachers.")
    body = timm.create_model(name, pretrained=False)
    body.load_state_dict(read_weights(teachers, name))
    config = cast(dict[str, Any], body.pretrained_cfg)
    network = Network(body, config["mean"], config["std"])
    return Teacher(network, config["input_size"][-1], _imagenet_indices(classes))


def _imagenet_indices(classes: Sequence[str]) -> list[int]:
    known = spellings(imagenet_names())
    unknown = [name for name in classes if folded(name) not in known]
    if unknown:
        raise BadTeacher(
            f"ImageNet has no class called {', '.join(unknown)}.",
            "A timm teacher needs folders named by ImageNet class; train without teachers.",
        )
    return [known[folded(name)] for name in classes]
