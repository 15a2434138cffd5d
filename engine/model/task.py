"""What an attack is asked to do: pictures, what they show, and what they should become."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from engine.core.errors import BadTask
from engine.core.shapes import Images, Labels
from engine.model.victim import Victim


@dataclass(frozen=True)
class Task:
    """Images (b, 3, y, x) in [0, 1], their labels (b,), and for a targeted attack the targets (b,)."""

    images: Images
    labels: Labels
    target: Labels | None = None

    def __post_init__(self) -> None:
        x = self.images
        if x.ndim != 4 or x.shape[1] != 3:
            raise BadTask(f"Images must be (batch, 3, rows, columns), not {tuple(x.shape)}.")
        if not bool(((x >= 0) & (x <= 1)).all()):
            raise BadTask("Pixels must lie in [0, 1].", "Divide 8-bit pixels by 255.")
        for name, values in (("labels", self.labels), ("targets", self.target)):
            if values is not None and values.shape != (x.shape[0],):
                raise BadTask(f"There must be one of the {name} for each of {x.shape[0]} images.")
        if self.target is not None and bool((self.target == self.labels).any()):
            raise BadTask(
                "The target is the class the picture already has.",
                "Choose another target class.",
            )

    @property
    def targeted(self) -> bool:
        return self.target is not None

    def on(self, victim: Victim) -> Task:
        """The same in the precision of a victim that computes in a higher one."""
        kind = torch.promote_types(self.images.dtype, victim.dtype)
        return replace(self, images=self.images.to(kind))

    def of(self, rows: Tensor) -> Task:
        """Some of the pictures (numbers or a mask)."""
        target = None if self.target is None else self.target[rows]
        return Task(self.images[rows], self.labels[rows], target)


def task_for(victim: Victim, images: Images, labels: Labels, target: Labels | None = None) -> Task:
    """A task on the victim's device, with classes checked against the victim's."""
    count = len(victim.spec.classes)
    for values in (labels, target):
        if values is not None and bool(((values < 0) | (values >= count)).any()):
            raise BadTask(f"{victim.spec.name} has classes 0 to {count - 1}.")
    where = victim.device
    return Task(images.to(where), labels.to(where), None if target is None else target.to(where))
