from __future__ import annotations

from dataclasses import dataclass

from engine.attack.attack import Attack
from engine.attack.recipe import Recipe
from engine.attack.sequence import Sequence
from engine.attack.square import Square
from engine.core.knobs import knob
from engine.model.victim import Spec


@dataclass(frozen=True)
class SquareAttack(Recipe):
    """Square Attack (Andriushchenko et al., ECCV 2020): a search by queries, without any gradient.

    x' = clip(x + 2 eps r on a square), kept where it raises the margin max_{j != y} z_j - z_y; r is a
    sign per channel, and the square shrinks as the queries go on. The first query is vertical stripes
    of +- eps. It ends as soon as the picture falls.
    """

    name = "square"
    title = "Square: a random search, no gradient"
    paper = (
        "Andriushchenko et al., Square Attack: a Query-efficient Black-box Adversarial Attack via "
        "Random Search, ECCV 2020"
    )

    steps: int = knob(
        5000,
        "How often the model is asked; as in AutoAttack.",
        label="Queries",
        low=1,
        high=10_000,
        main=True,
    )
    share: float = knob(
        0.8, "Share of the pixels that the first square covers.", label="First share", low=0, high=1
    )

    def build(self, spec: Spec) -> Attack:
        del spec
        return Sequence((Square(self.eps, self.steps, self.share),))
