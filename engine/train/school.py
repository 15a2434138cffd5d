"""What is shown and what is taught: altered pictures, mixed labels, and the teachers' opinion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.model.architectures import ARCHITECTURES
from engine.train.augment import Draws, alter, mix
from engine.train.pictures import Dataset, Pictures
from engine.train.recipe import Recipe, Target
from engine.train.teachers import Teacher, load_teacher


@dataclass(frozen=True)
class School:
    """The training pictures on their device, and the teachers that are heard, by name."""

    recipe: Recipe
    pictures: Pictures
    classes: int
    teachers: Mapping[str, Teacher]
    answers: dict[tuple[int, int], Tensor] = field(default_factory=dict[tuple[int, int], Tensor])

    def view(self, epoch: int) -> int:
        """Which crops and mixtures an epoch shows: its own, or those of an earlier one."""
        return epoch % self.recipe.views if self.teachers and self.recipe.views else epoch

    @torch.no_grad()
    def lesson(self, rows: Tensor, draws: Tensor, place: tuple[int, int]) -> tuple[Tensor, Target]:
        """The altered pictures `(b, 3, y, x)` of `rows` and what they are to be called.

        `draws` `(b, numbers)` decide the alterations; `place` = (view, step) names the batch.
        """
        named, recipe = Draws(*draws.unbind(1)), self.recipe
        images = alter(self.pictures.images[rows], named, recipe.augmentation)
        sure = F.one_hot(self.pictures.labels[rows], self.classes).float()
        labels = (1 - recipe.smoothing) * sure + recipe.smoothing / self.classes
        images, labels = mix(images, labels, named, recipe.augmentation)
        if not self.teachers:
            return images, Target(labels, labels, labels)
        taught, share = self._taught(images, place), recipe.teacher_share
        return images, Target(labels, taught, (1 - share) * labels + share * taught)

    def _taught(self, images: Tensor, place: tuple[int, int]) -> Tensor:
        """The teachers' mean probabilities `(b, k)`, remembered where the recipe repeats its views."""
        if place in self.answers:
            return self.answers[place]
        kind = images.device.type
        with torch.autocast(kind, torch.bfloat16, enabled=kind == "cuda"):
            taught = torch.stack([teacher(images) for teacher in self.teachers.values()]).mean(0)
        if self.recipe.views:
            self.answers[place] = taught
        return taught


def open_school(
    recipe: Recipe, dataset: Dataset, folder: Path | None, models: Path, device: torch.device
) -> School:
    """Load the recipe's teachers: bundled ones from `models`, timm's from `folder` if there is one."""
    heard = [name for name in recipe.teachers if folder is not None or name in ARCHITECTURES]
    teachers = {n: load_teacher(n, dataset.classes, folder, models).to(device) for n in heard}
    return School(recipe, dataset.train.to(device), len(dataset.classes), teachers)
