"""What the command line may change in a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from engine.core.knobs import typed, words
from engine.train.adversarial import Robust
from engine.train.awp import WeightPerturbed
from engine.train.pgd import PGD
from engine.train.recipe import BadRecipe, Recipe
from engine.train.scaling import ScaledRobust


def with_scaling(recipe: Recipe, gap: int) -> Recipe:
    """The recipe with the attention-scaling step in every `gap`-th epoch; for 0 as it is.

    The model has a name of its own. Raises BadRecipe where the recipe trains no robust model.
    """
    if gap == 0:
        return recipe
    method = recipe.method
    if gap < 0:
        raise BadRecipe(f"Attention cannot be scaled every {gap} epochs.", "Give 1 or more.")
    if isinstance(method, ScaledRobust):
        return replace(recipe, method=replace(method, gap=gap))
    if not isinstance(method, Robust | WeightPerturbed):
        raise _not_robust(recipe)
    return replace(
        recipe,
        name=f"{recipe.name}_aas",
        model=f"{recipe.model}_aas",
        title=f"{recipe.title} and attention scaling",
        method=ScaledRobust(method, gap),
    )


def with_seed(recipe: Recipe, seed: int) -> Recipe:
    """A run of another seed than 0 is another model, called NAME_seed1."""
    if seed == 0:
        return recipe
    return replace(
        recipe,
        name=f"{recipe.name}_seed{seed}",
        model=f"{recipe.model}_seed{seed}",
        title=f"{recipe.title}, seed {seed}",
    )


def with_inner(recipe: Recipe, settings: Sequence[str]) -> Recipe:
    """The recipe with some knobs of its inner attack as typed, such as `steps=10` or `eps=8/255`.

    It is judged in the ball that it is trained in. Raises BadRecipe, UnknownName, BadKnob.
    """
    if not settings:
        return recipe
    pairs = [word.partition("=") for word in settings]
    if not all(equals for _, equals, _ in pairs):
        raise BadRecipe(f"“{' '.join(settings)}” is not a setting.", "Write --inner KNOB=VALUE.")
    told = {name.strip(): value for name, _, value in pairs}

    def changed(method: Any) -> Any:
        if isinstance(method, ScaledRobust | WeightPerturbed):
            return replace(method, base=changed(method.base))
        if not isinstance(method, Robust):
            raise _not_robust(recipe)
        inner = typed(PGD, "the inner attack", words(method.inner) | told)
        judge = replace(method.judge, eps=inner.eps, step=inner.eps / 4)
        return replace(method, inner=inner, judge=judge)

    return replace(recipe, method=changed(recipe.method))


def _not_robust(recipe: Recipe) -> BadRecipe:
    return BadRecipe(
        f"{recipe.name} trains against no attack.",
        "Choose a recipe of adversarial training, such as pgd_at or trades.",
    )
