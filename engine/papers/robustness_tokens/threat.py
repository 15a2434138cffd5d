"""What an attacker knows: the public model, how tokens are trained, or the tokens themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from engine.model.tokens import hosted
from engine.model.victim import Victim

Name = Literal["transfer", "surrogate", "adaptive", "restarts"]


@dataclass(frozen=True)
class Threat:
    """An attacker of the model with tokens, in words: what it has."""

    name: Name
    title: str
    knows: str


TRANSFER = Threat("transfer", "Transfer", "the public model only, as published")
SURROGATE = Threat("surrogate", "Surrogate", "the public model, and tokens of their own training")
ADAPTIVE = Threat("adaptive", "Adaptive", "the model with its very tokens")
RESTARTS = Threat("restarts", "Adaptive, restarts", "the very tokens, and several tries")
THREATS = (TRANSFER, SURROGATE, ADAPTIVE, RESTARTS)
"""From the weakest to the strongest; the paper measured the first."""


@dataclass(frozen=True)
class Models:
    """A public model, the same with the defender's tokens, and with an attacker's own where there
    are any."""

    public: Victim
    private: Victim
    surrogate: Victim | None = None

    @staticmethod
    def of(
        public: Victim,
        tokens: Float[Tensor, "n d"],
        surrogate: Float[Tensor, "k d"] | None = None,
    ) -> Models:
        """Raises UnsupportedModel for a model that cannot host them."""
        own = None if surrogate is None else hosted(public, surrogate)
        return Models(public, hosted(public, tokens), own)

    def source(self, threat: Threat) -> Victim:
        """What that attacker makes pictures on."""
        if threat is TRANSFER:
            return self.public
        if threat is SURROGATE:
            assert self.surrogate is not None  # nobody asks otherwise
            return self.surrogate
        return self.private
