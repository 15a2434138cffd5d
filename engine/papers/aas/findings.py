"""What studies of attention scaling find beside their claims: leads by block, attacks, the control."""

from __future__ import annotations

from dataclasses import dataclass

from engine.evaluate.interval import Estimate, Rate


@dataclass(frozen=True)
class About:
    """What was measured on what: `pictures` at a budget of `eps` in pixels of [0, 1].

    `gradients` is what every attack spends on a picture: AAS `ascent` of them on its factors and
    the rest on the attack. `c` is what scores were multiplied by, 1 being the model as it is.
    """

    model: str
    pictures: int
    eps: float
    gradients: int
    ascent: int
    c: float
    device: str
    accuracy: Estimate


@dataclass(frozen=True)
class Block:
    """Leads of the largest score over the second, of all rows of one block (from 0) on clean pictures.

    % of rows from 16.75 on, which float32 rounds, and from 104 on, which underflow.
    """

    block: int
    median: float
    largest: float
    rounds: Estimate
    underflows: Estimate


@dataclass(frozen=True)
class Attack:
    """One attack: % of all pictures that the model still has right, crafted as `title` says.

    `gain` in points is what the base attack leaves less what this leaves, paired, p its McNemar's;
    `on_scaled` the same attack judged on the very model it was crafted on, where that was measured.
    """

    name: str
    title: str
    left: Estimate
    gain: Rate
    p: float
    gradients: int
    on_scaled: Estimate | None = None
    clean_scaled: Estimate | None = None


@dataclass(frozen=True)
class Findings:
    """Of one model."""

    about: About
    blocks: tuple[Block, ...]
    attacks: tuple[Attack, ...]

    def attack(self, name: str) -> Attack | None:
        return next((each for each in self.attacks if each.name == name), None)


@dataclass(frozen=True)
class Point:
    """% of pictures that the model with scores times `c` keeps at `eps`, crafted as `name` says; p is
    McNemar's against its own gradient."""

    c: float
    eps: float
    name: str
    pictures: int
    left: Estimate
    gain: Rate
    p: float


@dataclass(frozen=True)
class Saturation:
    """The positive control on one model: PGD of `steps`, worst iterate, judged on the model with its c."""

    model: str
    steps: int
    ascent: int
    device: str
    points: tuple[Point, ...]

    def at(self, c: float, eps: float, name: str) -> Point | None:
        return next(
            (p for p in self.points if (p.c, p.name) == (c, name) and abs(p.eps - eps) < 1e-9), None
        )
