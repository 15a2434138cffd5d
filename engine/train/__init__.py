"""Training the bundled zoo: recipes that read top to bottom, and the one loop that runs them."""

from engine.train.loop import Epoch, Finished, train
from engine.train.pictures import BadDataset
from engine.train.recipe import Recipe
from engine.train.recipes import RECIPES

__all__ = ["RECIPES", "BadDataset", "Epoch", "Finished", "Recipe", "train"]
