"""What a run is asked to do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from engine.alter.alteration import Stack
from engine.alter.quantize.int8 import Int8
from engine.attack.criterion import CostUp, Criterion
from engine.attack.quant_objective import OutlierColumns
from engine.attack.recipe import Recipe


@dataclass(frozen=True)
class Request:
    """What to do: a decoded RGB picture, a model, a recipe, and what counts as success.

    `label` is the picture's true class; None takes the model's own answer to the clean picture.
    `target` is the class a targeted attack aims at. `others` are models the result is also shown
    to. `views` records what the page's views need. `weights` is the local weights folder.
    `alter` stands on the model: that victim is judged, and all that is shown is measured on it.
    `craft_on` is the stack on the bare model that the attack's steps see; None is the judged one.
    `stranger` says what the picture shows, where the model is known to have no class for it.
    """

    image: Image.Image
    model: str
    recipe: Recipe
    label: int | None = None
    target: int | None = None
    seed: int = 0
    others: tuple[str, ...] = ()
    views: bool = True
    weights: Path | None = None
    alter: Stack = ()
    craft_on: Stack | None = None
    name: str = ""
    stranger: str = ""

    @property
    def criterion(self) -> Criterion:
        """What will count as success; outliers are those of the int8 model that is judged, if it is."""
        asked, int8 = self.recipe.criterion.aimed(self.target is not None), self.int8
        if int8 and isinstance(asked, CostUp) and isinstance(asked.cost, OutlierColumns):
            return replace(asked, cost=replace(asked.cost, threshold=int8.threshold))
        return asked

    @property
    def int8(self) -> Int8 | None:
        """How the judged victim is quantised."""
        return next((each for each in self.alter if isinstance(each, Int8)), None)

    @property
    def crafted_on(self) -> Stack:
        """The stack that the attack's steps see."""
        return self.alter if self.craft_on is None else self.craft_on
