"""One perturbation for any picture: trained as a generator, saved, resumed and applied."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from engine.attack.attack import Attack
from engine.core.assets import ASSETS
from engine.core.errors import CorruptWeights, EngineError
from engine.core.shapes import Images
from engine.core.streams import Streams
from engine.model.task import Task
from engine.model.victim import Victim

SHIPPED = ASSETS / "universal"


@dataclass(frozen=True)
class Figure:
    """A mean over pictures that training never saw: clean, with the perturbation, and with sign
    noise of the same size."""

    clean: float
    attacked: float
    noise: float

    @property
    def times(self) -> float:
        """How often the clean figure the perturbation makes it."""
        return self.attacked / self.clean


@dataclass(frozen=True)
class HeldOut:
    """What a perturbation does to so many other pictures: figures by name ("outlier columns")."""

    pictures: int
    figures: Mapping[str, Figure]


@dataclass(frozen=True)
class Universal:
    """A perturbation (3, y, x) in pixels, with the model it was made on and how far training got.

    `threshold` is the int8 victim's, `pictures` how many it was trained on, `measured` what it does
    to others; 0 and None where that is not known.
    """

    delta: Tensor
    eps: float
    victim: str
    epochs: int = 0
    threshold: float = 0.0
    pictures: int = 0
    measured: HeldOut | None = None

    def apply(self, images: Images) -> Images:
        """clip(x + delta) of pictures of the same size."""
        if images.shape[1:] != self.delta.shape:
            size, here = self.delta.shape[-1], tuple(images.shape[2:])
            raise EngineError(
                f"This perturbation is for pictures of {size} x {size} pixels, not {here}.",
                "Resize the picture to the model's input first.",
            )
        return (images + self.delta.to(images)).clamp(0, 1)


@dataclass(frozen=True)
class Epoch:
    """Training after one batch: what there is, which batch of which epoch, its mean loss."""

    made: Universal
    epoch: int
    batch: int
    batches: int
    loss: float


@dataclass(frozen=True)
class Training:
    """Universal sign descent (QuantAttack, spec A5; class-universal if all pictures are of a class).

    delta <- clip(delta + step sign(sum_i grad_x objective(x_i + delta)), -eps, eps), from zero,
    over `epochs` passes in a new order each. The published code takes pictures one by one (`batch`
    1), 200 epochs of 250 pictures, a constant step of 0.002, and validates on its training set.
    A larger batch sums gradients. Pixels that the box [0, 1] clips pass no gradient.
    """

    eps: float = 8 / 255
    step: float = 0.002
    epochs: int = 200
    batch: int = 1

    def __call__(
        self,
        attack: Attack,
        victim: Victim,
        task: Task,
        streams: Streams,
        start: Universal | None = None,
    ) -> Iterator[Epoch]:
        """Train on the task's pictures along the gradients that the attack's first step finds there.

        `start` resumes: order and draws depend on seed and epoch only, so that stopping after an
        epoch and going on gives the same bits as not stopping.
        """
        shape = task.images.shape[1:]
        made = start or Universal(torch.zeros(shape), self.eps, victim.spec.name)
        delta = made.delta.to(task.images)
        for epoch in range(made.epochs, self.epochs):
            order = torch.randperm(len(task.labels), generator=streams.at("order", epoch))
            parts = order.split(self.batch)
            for index, rows in enumerate(parts):
                inside = streams.inside("epoch", epoch, index)
                some = task.of(rows.to(task.labels.device))
                delta, loss = self._step(attack, victim, some, delta, inside)
                done = epoch + (index + 1 == len(parts))
                made = replace(made, delta=delta.cpu(), epochs=done, measured=None)
                yield Epoch(made, epoch, index, len(parts), loss)

    def _step(
        self, attack: Attack, victim: Victim, task: Task, delta: Tensor, streams: Streams
    ) -> tuple[Tensor, float]:
        moved = task.images + delta
        state = attack.init(victim, task, streams, moved.clamp(0, 1))
        _, info = attack.step(victim, task, state, streams)
        assert info.g is not None  # a step has a gradient
        g = (info.g * ((moved >= 0) & (moved <= 1))).sum(0)
        delta = (delta + self.step * g.sign()).clamp(-self.eps, self.eps)
        return delta, float(info.loss.mean())


def save(made: Universal, path: Path) -> None:
    """Write a perturbation as safetensors, what it is in the header; never half a file."""
    about = {
        "eps": repr(made.eps),
        "victim": made.victim,
        "epochs": str(made.epochs),
        "threshold": repr(made.threshold),
        "pictures": str(made.pictures),
        "measured": json.dumps(made.measured and asdict(made.measured)),
    }
    part = path.with_suffix(".part")
    save_file({"delta": made.delta.contiguous()}, part, about)
    part.replace(path)


def load(path: Path) -> Universal:
    """Read a saved perturbation; raises CorruptWeights where the file is something else."""
    try:
        with safe_open(path, "pt") as file:
            about = file.metadata()
            delta: Tensor = file.get_tensor("delta")
        found = json.loads(about["measured"])
        return Universal(
            delta,
            float(about["eps"]),
            about["victim"],
            int(about["epochs"]),
            float(about["threshold"]),
            int(about["pictures"]),
            found and _held_out(found),
        )
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CorruptWeights(f"{path.name} holds no universal perturbation.") from error


def _held_out(found: dict[str, Any]) -> HeldOut:
    """As saved; the first files knew one figure only, without its name."""
    pictures = int(found.pop("pictures"))
    figures = found.get("figures", {"outlier columns": found})
    return HeldOut(pictures, {name: Figure(**each) for name, each in figures.items()})


def shipped(model: str, folder: Path = SHIPPED) -> Path | None:
    """The file of the perturbation that ships for a model, if there is one."""
    path = folder / f"{model}.safetensors"
    return path if path.is_file() else None
