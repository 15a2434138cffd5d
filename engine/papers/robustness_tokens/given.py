"""Which tokens a model gets, where these are from, and whether an attacker has own ones."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from engine.alter.tokens import RobustnessTokens
from engine.core.errors import TokensUnavailable
from engine.model import tokenfile
from engine.model.tokenfile import RANDOM, SURROGATE, Tokens
from engine.model.victim import Victim
from engine.train.tokens import TokenTraining


class Given(NamedTuple):
    """Tokens (n, d), and in words where they are from."""

    values: Float[Tensor, "n d"]
    words: str


def given(victim: Victim, file: str, count: int) -> Given:
    """Those of a file, or `count` random ones; raises what the alteration raises."""
    values = RobustnessTokens(file, count).tokens(victim)
    if file == RANDOM:
        return Given(values, "random, untrained: the control")
    return Given(values, _trained(tokenfile.find(file, victim.spec.name)))


def rival(victim: Victim) -> Float[Tensor, "n d"] | None:
    """The attacker's own tokens; None where there are none for this model."""
    try:
        return RobustnessTokens(SURROGATE).tokens(victim)
    except TokensUnavailable:
        return None


def short(count: int, steps: int, eps: float) -> TokenTraining:
    """A training of few steps: larger ones than published, that fall to 0."""
    return TokenTraining(count=count, steps=steps, eps=eps, rate=1e-2, pace="cosine")


def _trained(tokens: Tokens) -> str:
    training, data = tokens.card.get("training"), tokens.card.get("data")
    if not training or not data:
        return "of a file"
    return (
        f"trained for {training['steps']} steps on {data['pictures']} pictures of {data['folder']}"
    )
