"""A victim with Robustness Tokens: the same weights, and further tokens that the attacker may not know."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from engine.alter.alteration import Alteration
from engine.alter.ensemble import Mean
from engine.core.knobs import knob
from engine.core.streams import Streams
from engine.model import tokenfile
from engine.model.tokenfile import OWN, RANDOM, SURROGATE
from engine.model.tokens import hosted, width
from engine.model.victim import Victim

SPREAD = 1e-2


@dataclass(frozen=True)
class RobustnessTokens(Alteration):
    """f([r, x]): r stands in the sequence without a position, and is dropped after the final norm.

    Weights are shared; r is that of a file (`engine.model.tokenfile`), or N(0, SPREAD^2) as training
    starts from, which is the control. Without the alteration the victim is the very same as before.
    """

    name = "tokens"
    title = "Robustness Tokens"
    paper = "Pulfer et al., Robustness Tokens: Towards Adversarial Robustness of Transformers, ECCV 2024"

    file: str = knob(
        OWN,
        "The model's own, the attacker's surrogate of them, random ones, or a file by its name.",
        label="Which tokens",
        choices=(OWN, SURROGATE, RANDOM),
        open=True,
        main=True,
    )
    count: int = knob(
        10,
        "How many random tokens; a file has its own number.",
        label="Random tokens",
        low=1,
        high=200,
    )

    def change(self, victim: Victim) -> Victim:
        return hosted(victim, self.tokens(victim))

    def tokens(self, victim: Victim) -> Float[Tensor, "n d"]:
        """r; raises UnsupportedModel, TokensUnavailable, BadKnob or CorruptWeights."""
        wide = width(victim)
        if self.file != RANDOM:
            return tokenfile.find(self.file, victim.spec.name).values
        return SPREAD * torch.randn(self.count, wide, generator=Streams(0).at("tokens"))

    def state(self, victim: Victim) -> Hashable:
        if isinstance(victim.module, Mean):
            return tuple(map(self.state, victim.module.victims))
        return None if self.file == RANDOM else tokenfile.state(self.file, victim.spec.name)
