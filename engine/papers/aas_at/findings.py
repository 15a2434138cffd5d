"""What was measured on photographs: every picture's fate under every attack, model by model; in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from engine.evaluate.interval import Estimate
from engine.evaluate.robust import paired, rate
from engine.evaluate.words import apart
from engine.papers.aas_at.contenders import Role

Attack = Literal["clean", "noise", "short", "long", "scaled", "borrowed", "auto"]
"""Pictures as they are; sign noise of the budget; PGD, short and long; the worse of long PGD with and
without attention scaling; PGD made on another model; AutoAttack."""
REACHED = 10.0
"""A curve whose interval ends below so many % at the largest budget has come down; one whose begins
above has not."""


def bits(kept: Tensor) -> str:
    """A mask of pictures as 1 and 0."""
    return "".join(str(int(each)) for each in kept.tolist())


@dataclass(frozen=True)
class Outcome:
    """Which pictures a model has right under an attack, 1 or 0 each; in words, and its steps.

    AutoAttack may have seen the first few pictures only.
    """

    attack: Attack
    words: str
    steps: int
    pictures: str

    @cached_property
    def kept(self) -> Tensor:
        return torch.tensor([each == "1" for each in self.pictures])

    @property
    def rate(self) -> Estimate:
        """Accuracy in %, with Wilson's interval."""
        return rate(self.kept)


@dataclass(frozen=True)
class Point:
    """Which pictures are still right at a budget of eps / 255; who fell at a smaller one has fallen."""

    eps: float
    pictures: str

    @property
    def rate(self) -> Estimate:
        return rate(torch.tensor([each == "1" for each in self.pictures]))


@dataclass(frozen=True)
class Judged:
    """A model under all attacks."""

    model: str
    title: str
    role: Role
    outcomes: tuple[Outcome, ...]
    curve: tuple[Point, ...]

    def under(self, attack: Attack) -> Outcome | None:
        return next((each for each in self.outcomes if each.attack == attack), None)

    def kept(self, attack: Attack) -> Tensor:
        found = self.under(attack)
        assert found is not None
        return found.kept

    @property
    def left(self) -> Estimate:
        """What is right at the largest budget, in %."""
        return self.curve[-1].rate

    @property
    def reaches_zero(self) -> bool | None:
        """Whether the curve comes down to zero; None where the interval does not say."""
        if self.left.high < REACHED:
            return True
        return False if self.left.low > REACHED else None


@dataclass(frozen=True)
class Findings:
    """All models on the same pictures, at a budget of eps / 255."""

    eps: float
    models: tuple[Judged, ...]

    @property
    def pictures(self) -> int:
        return len(self.models[0].outcomes[0].pictures)

    @property
    def plain(self) -> Judged | None:
        return next((each for each in self.models if each.role == "plain"), None)

    @property
    def robust(self) -> tuple[Judged, ...]:
        return tuple(each for each in self.models if each.role == "robust")

    @property
    def control(self) -> Judged | None:
        return next((each for each in self.models if each.role == "control"), None)


def sentences(found: Findings) -> Iterator[str]:
    """What training buys and costs, whether two ways to train differ, and what the control shows."""
    yield from bought(found)
    yield from between(found)
    yield from hidden(found)


def bought(found: Findings) -> Iterator[str]:
    """What the first robust model has over the plain one under attack, and what it lacks untouched."""
    if not found.plain or not found.robust:
        return
    plain, robust = found.plain, found.robust[0]
    before, after = (rate(each.kept("long")) for each in (plain, robust))
    yield (
        f"Changed by at most {found.eps:g}/255 to fool the very model, the {plain.title} has {_percent(before)} "
        f"of {found.pictures} photographs right, {robust.title} {_percent(after)}."
    )
    cost = paired(plain.kept("clean"), robust.kept("clean")).gap
    before, after = (rate(each.kept("clean")) for each in (plain, robust))
    told = "costs" if cost.value >= 0 else "brings"
    sure = "" if apart(cost) else "; so few photographs do not tell that from nothing"
    yield (
        f"On untouched ones training {told} {abs(cost.value):.0f} points "
        f"({before.value:.0f} % before, {after.value:.0f} % after{sure})."
    )


def between(found: Findings) -> Iterator[str]:
    """Whether the first two robust models differ under the long attack."""
    if len(found.robust) < 2:
        return
    one, other = found.robust[:2]
    gap = paired(other.kept("long"), one.kept("long"))
    rates = " and ".join(f"{rate(each.kept('long')).value:.0f} %" for each in (one, other))
    told = f"({rates} under attack; McNemar p {gap.p:.2g})"
    if not apart(gap.gap):
        yield f"{one.title} and {other.title} are not told apart {told}."
        return
    better, worse = (other, one) if gap.gap.value > 0 else (one, other)
    yield f"{better.title} is better than {worse.title} {told}."


def hidden(found: Findings) -> Iterator[str]:
    """How much the control seems to withstand, and what is left of it."""
    if not found.control or not (borrowed := found.control.under("borrowed")):
        return
    own = rate(found.control.kept("long"))
    yield (
        f"The control only hides its gradient, and seems to keep {_percent(own)}; pictures made on its plain "
        f"twin leave {_percent(borrowed.rate)}. A curve that stays up is not yet resistance."
    )


def _percent(of: Estimate) -> str:
    return f"{of.value:.0f} % [{of.low:.0f}, {of.high:.0f}]"
