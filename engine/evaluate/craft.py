"""Attacking pictures of a folder, batch by batch, and saving them as a PNG would."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from engine.alter.alteration import Stack
from engine.alter.stack import fitted
from engine.attack.attack import Attack, run
from engine.attack.constraint import to_8bit
from engine.core.shapes import Images, Labels
from engine.core.streams import Streams
from engine.evaluate.judge import shown
from engine.model.task import task_for
from engine.model.victim import Victim


@dataclass(frozen=True)
class Crafted:
    """A batch after `steps` of the attack, which took so many seconds; `eps` bounds what is saved."""

    steps: int
    seconds: float
    clean: Images
    x: Images
    eps: float

    @property
    def saved(self) -> Tensor:
        """The 8-bit pictures (b, 3, y, x) on the CPU."""
        return to_8bit(self.x, self.clean, self.eps).cpu()


def crafted(
    attack: Attack,
    victim: Victim,
    pixels: Tensor,
    labels: Labels,
    *,
    eps: float,
    seed: int = 0,
    first: int = 0,
    stack: Stack = (),
) -> Iterator[Crafted]:
    """Attack one batch of 8-bit pictures (b, 3, y, x), which stand from `first` on in their folder.

    An event after every step, and one where no picture needs any. `stack` stands on the victim while the attack is made, fitted to these
    pictures where it is to be; the attack is built for `outlined(victim, stack)`. Each picture draws its own noise by its place in the folder, so that
    a batch's size and its other pictures change nothing but the rounding of sums.
    """
    clean = shown(pixels, victim)
    streams = Streams(seed, tuple(range(first, first + len(pixels))))
    task = task_for(victim, clean, labels)
    began = time.perf_counter()
    on = fitted(victim, stack, task, streams)
    seconds = time.perf_counter() - began
    made: Crafted | None = None
    for state, info in run(attack, on, task.on(on), streams):
        seconds += info.seconds
        made = Crafted(state.step, seconds, clean, state.x, eps)
        yield made
    if made is None:
        yield Crafted(attack.steps, seconds, clean, clean, eps)
