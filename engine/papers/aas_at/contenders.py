"""Who is compared: robust models, the plain one that they came from, and one that hides its gradient.

The last is the control: the plain model with its scores multiplied by so much that attention is all
or nothing. Nobody trained it to resist, so what it withstands is a fault of the measurement.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from engine.alter.saturated import Saturated
from engine.core.errors import BadTask
from engine.model import zoo
from engine.model.victim import Victim
from engine.model.zoo import Card

Role = Literal["plain", "robust", "control"]
ROBUST = "robust"
"""What the card of an adversarially trained model says it is for."""


@dataclass(frozen=True)
class Contender:
    """A model that takes part: its name with alterations, what it is called, and why it is here."""

    name: str
    title: str
    role: Role
    victim: Victim = field(compare=False, repr=False)


def offered(weights: Path | None = None) -> tuple[Card, ...]:
    """The robust models on this machine, and before them the plain ones that they were trained from."""
    here = {each.name: each for each in zoo.cards(weights) if zoo.available(each) == "here"}
    found = sorted((e for e in here.values() if e.task == ROBUST), key=lambda each: each.title)
    names = dict.fromkeys([*map(start, found), *(each.name for each in found)])
    return tuple(here[name] for name in names if name in here)


def start(of: Card) -> str:
    """The model that a model was trained from; empty where its card names none."""
    return str((of.details.get("start") or {}).get("name", ""))


def fit(names: Sequence[str], control: float, weights: Path | None = None) -> list[Card]:
    """Their cards, plain ones first; raises BadTask where these cannot be compared."""
    cards = [zoo.card(name, weights) for name in dict.fromkeys(names)]
    cards.sort(key=lambda each: (each.task == ROBUST, each.title))
    if not cards:
        raise BadTask("There is no model.", "Choose at least one.")
    if control and cards[0].task == ROBUST:
        raise BadTask(
            "The control is made of a plain model.", "Choose one, or leave the control out."
        )
    return cards


def contenders(
    names: Sequence[str], control: float, weights: Path | None = None
) -> tuple[Contender, ...]:
    """The models of these names, plain ones first, and the control made of the first plain one.

    `control` is what its scores are multiplied by; 0 leaves it out. Raises what `fit` and `zoo.load`
    raise.
    """
    cards = fit(names, control, weights)
    found = [
        Contender(
            each.name,
            title,
            "robust" if each.task == ROBUST else "plain",
            zoo.load(each.name, weights),
        )
        for each, title in zip(cards, titles(cards), strict=True)
    ]
    if control:
        victim = found[0].victim | Saturated(control)
        found.append(Contender(victim.spec.full, "control", "control", victim))
    return tuple(found)


def titles(cards: Iterable[Card]) -> list[str]:
    """What models are called beside each other: how they were trained, or that they were not."""
    known = list(cards)
    brief = [_brief(each) for each in known]
    times = Counter(brief)
    return [
        short if times[short] == 1 else each.name for each, short in zip(known, brief, strict=True)
    ]


def _brief(of: Card) -> str:
    """“ViT, adversarially trained (PGD-AT, 4/255)” is PGD-AT; a plain ViT is said to be plain."""
    inside = re.search(r"\(([^,)]+)", of.title)
    if of.task == ROBUST and inside:
        return inside[1]
    name = re.split(r",|:| with | \(", of.title)[0]
    return name if of.task == ROBUST else f"plain {name}"
