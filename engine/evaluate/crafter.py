"""Whole sets of attacked pictures, kept on disk so that a run that was killed goes on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from engine.attack.recipe import Recipe
from engine.core.files import write_atomically
from engine.core.shapes import Labels
from engine.evaluate import store
from engine.evaluate.craft import Crafted, crafted
from engine.evaluate.progress import Progress
from engine.evaluate.transfer import settings
from engine.model.victim import Victim


@dataclass(frozen=True)
class Crafter:
    """Attacks the first pictures of a folder, some at a time; sets that `keep` holds are read back."""

    batch: int
    seed: int = 0
    keep: Path | None = None

    def __call__(
        self, name: str, recipe: Recipe, victim: Victim, pixels: Tensor, labels: Labels
    ) -> Iterator[Progress | Tensor]:
        """Progress, and last the saved pictures (n, 3, y, x)."""
        path = self._path(recipe, victim, pixels, labels)
        if path is not None and path.is_file():
            yield load_file(path)["saved"]
            return
        attack, parts = recipe.build(victim.spec), list[Tensor]()
        for first in range(0, len(pixels), self.batch):
            some = slice(first, first + self.batch)
            pictures = pixels[some], labels[some]
            last: Crafted | None = None
            for last in crafted(
                attack, victim, *pictures, eps=recipe.eps, seed=self.seed, first=first
            ):
                done = first * attack.steps + last.steps * len(last.x)
                yield Progress(name, done, len(pixels) * attack.steps)
            assert last is not None  # an attack has a step
            parts.append(last.saved)
        saved = torch.cat(parts)
        if path is not None:
            write_atomically(path, save({"saved": saved}))
        yield saved

    def _path(self, recipe: Recipe, victim: Victim, pixels: Tensor, labels: Labels) -> Path | None:
        """Named by all that the set depends on, but for the code."""
        if self.keep is None:
            return None
        key = {
            "recipe": settings(recipe),
            "victim": [victim.spec.full, store.fingerprint(victim)],
            "pixels": store.of_tensor(pixels),
            "labels": labels.tolist(),
            "seed": self.seed,
        }
        return self.keep / f"{store.digest(key)}.safetensors"
