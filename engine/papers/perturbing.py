"""What any paper's perturbation for any picture is trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from engine.alter.ensemble import JOIN, members
from engine.alter.stack import named
from engine.attack.universal import ships_as
from engine.evaluate.transfer import bare
from engine.evaluate.universal import pictures
from engine.model import zoo
from engine.model.victim import Victim
from engine.papers.paper import Photographs


@dataclass(frozen=True)
class Ground:
    """A victim and 8-bit pictures (n, 3, y, x) of its input size; `label` is their class where there
    is one, `weights` the SHA-256 of the model's file (of an ensemble, of each)."""

    victim: Victim
    pixels: Tensor
    label: str = ""
    weights: str = ""

    @staticmethod
    def of(asked: Photographs) -> Ground:
        """Raises EngineError where there is no such model, or too few pictures."""
        victim = named(asked.model, lambda name: zoo.load(name, asked.weights))
        label = "" if asked.label is None else victim.spec.classes[asked.label]
        cards = (zoo.card(each, asked.weights) for each in members(bare(asked.model)))
        return Ground(
            victim,
            pictures(asked.folder, victim, asked.limit, asked.label),
            label,
            JOIN.join(each.sha256 for each in cards),
        )

    def file(self, attack: str, side: int = 0) -> Path:
        """Where its perturbation ships."""
        return ships_as(attack, self.victim.spec.full, self.label, side)
