"""An attack is anything with `init` and `step`; a run is a generator of its steps.

Nothing is open across a `yield`: each step opens and closes its own sessions on the victim, so two
visitors' runs may interleave on one model, and a run that is dropped leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from engine.attack.criterion import Criterion
from engine.core.shapes import Images, PerExample
from engine.core.streams import Streams
from engine.model.sites import Site
from engine.model.task import Task
from engine.model.victim import Forward, Victim


class Watch(NamedTuple):
    """Sites to record on the way, values and gradients, in the attack's own passes."""

    values: frozenset[Site] = frozenset()
    gradients: frozenset[Site] = frozenset()


NOTHING = Watch()


class State(Protocol):
    """Where an attack stands after `step` steps: `x` is what it would give now, the rest its own."""

    @property
    def step(self) -> int: ...
    @property
    def x(self) -> Images: ...


@dataclass(frozen=True)
class Info:
    """What a person wants to know of x: the picture that a step went out from, or one looked at.

    `out` is the victim's own pass on it (with what was watched), or None where the attack showed
    the model something else; `g` the gradient that was found. `success` (b,) is the criterion's
    word on that pass, worked out when it is first asked for.
    """

    step: int
    x: Images
    loss: PerExample
    seconds: float
    out: Forward | None
    judge: Callable[[], Tensor] = field(repr=False)
    g: Tensor | None = None

    @cached_property
    def success(self) -> Tensor:
        return self.judge()


class Attack(Protocol):
    """`steps` steps from a clean task to adversarial pictures, and what success means for them."""

    @property
    def steps(self) -> int: ...
    @property
    def criterion(self) -> Criterion: ...

    def init(
        self, victim: Victim, task: Task, streams: Streams, start: Images | None = None
    ) -> State:
        """Before the first step; `start` stands in for the pictures that the attack would begin at."""
        ...

    def step(
        self, victim: Victim, task: Task, state: Any, streams: Streams, watch: Watch = NOTHING
    ) -> tuple[State, Info]:
        """One further, from a state that `init` or `step` gave."""
        ...

    def look(
        self,
        victim: Victim,
        task: Task,
        state: Any,
        x: Images,
        streams: Streams,
        watch: Watch = NOTHING,
    ) -> Info:
        """The victim's own pass on any x: the attack's loss, and gradients under its rules.

        What the attack itself would show the model instead of x, or change inside it, stays away;
        `out` is never None. Gradients are taken only where some are watched.
        """
        ...


@runtime_checkable
class Tells(Protocol):
    """An attack that has something to say of its outcome: sentences for whoever reads the verdict."""

    def told(self, state: Any) -> tuple[str, ...]: ...


def observe(victim: Victim, x: Images, sites: Collection[Site]) -> Forward:
    """One pass without gradient that records the given sites."""
    with torch.no_grad(), victim.session(observe=sites) as forward:
        return forward(x)


def run(
    attack: Attack, victim: Victim, task: Task, streams: Streams, watch: Watch = NOTHING
) -> Iterator[tuple[State, Info]]:
    """The attack's steps, one by one; the last State holds the adversarial images."""
    state = attack.init(victim, task, streams)
    while state.step < attack.steps:  # which some reach early, when nothing is left to be done
        state, info = attack.step(victim, task, state, streams, watch)
        yield state, info


def craft(attack: Attack, victim: Victim, task: Task, streams: Streams) -> Images:
    """The adversarial images after all steps."""
    x = task.images
    for state, _ in run(attack, victim, task, streams):
        x = state.x
    return x
