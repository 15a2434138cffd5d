"""A picture as a model receives it: where every run on one picture begins, and how it is saved."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from PIL import Image
from torch import Tensor

from engine.attack.constraint import to_8bit
from engine.core.shapes import Images
from engine.core.streams import Streams
from engine.data.decode import fit
from engine.evaluate.judge import shown
from engine.evaluate.noise import signs
from engine.model.task import Task, task_for
from engine.model.victim import Victim


@dataclass(frozen=True)
class Subject:
    """Pixels (3, y, x) uint8 at the victim's input size, and what an attack on them is about.

    `asked` is the true class, None where the victim's own answer counts as true; `target` the
    class that a targeted attack aims at. All that is drawn follows from `seed`.
    """

    victim: Victim
    pixels: Tensor
    asked: int | None = None
    target: int | None = None
    seed: int = 0

    @staticmethod
    def of(
        victim: Victim,
        image: Image.Image,
        label: int | None = None,
        target: int | None = None,
        seed: int = 0,
    ) -> Subject:
        """For a decoded picture, fitted to the victim's input."""
        return Subject(victim, fit(image, victim.spec.input_size), label, target, seed)

    @property
    def streams(self) -> Streams:
        return Streams(self.seed)

    @cached_property
    def images(self) -> Images:
        """(1, 3, y, x) in [0, 1], on the victim's device."""
        return shown(self.pixels.unsqueeze(0), self.victim)

    @cached_property
    def probabilities(self) -> Tensor:
        """What the victim says to it (k,)."""
        with torch.no_grad():
            return self.victim.logits(self.images)[0].softmax(0).cpu()

    @property
    def label(self) -> int:
        return int(self.probabilities.argmax()) if self.asked is None else self.asked

    @property
    def called(self) -> str:
        """The name of its class."""
        return self.victim.spec.classes[self.label]

    @cached_property
    def task(self) -> Task:
        target = None if self.target is None else torch.tensor([self.target])
        return task_for(self.victim, self.images, torch.tensor([self.label]), target)

    def saved(self, x: Images, eps: float) -> Tensor:
        """An attack's picture (1, 3, y, x) as its file will hold it: (3, y, x) uint8 within eps."""
        return to_8bit(x, self.images, eps)[0].cpu()

    def noisy(self, linf: int) -> Images:
        """The control (1, 3, y, x): random signs of that size in 255ths, within [0, 1]."""
        x0 = self.images
        return (x0 + signs(x0.shape, self.streams).to(x0) * (linf / 255)).clamp(0, 1)
