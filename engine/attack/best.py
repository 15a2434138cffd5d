"""The best picture on an attack's way, instead of the last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from engine.attack.attack import NOTHING, Attack, Info, Watch
from engine.attack.criterion import Criterion
from engine.core.shapes import Images, PerExample
from engine.core.streams import Streams
from engine.model.task import Task
from engine.model.victim import Victim


class Kept(NamedTuple):
    """The best so far: pictures, whether they have what is wanted, and their loss; and who walks."""

    step: int
    x: Images
    reached: Tensor
    loss: PerExample
    own: Any

    def or_rather(self, info: Info) -> Kept:
        """For each picture the better of the two: what reached its goal, then the higher loss."""
        better = torch.where(info.success == self.reached, info.loss > self.loss, info.success)
        return self._replace(
            x=torch.where(better.view(-1, 1, 1, 1), info.x, self.x),
            reached=self.reached | info.success,
            loss=torch.where(better, info.loss, self.loss),
        )


@dataclass(frozen=True)
class Best:
    """x = argmax over the attack's iterates of (criterion reached, loss), for every picture.

    Each step has measured where it started; only the last iterate takes a pass of its own.
    """

    attack: Attack

    @property
    def steps(self) -> int:
        return self.attack.steps

    @property
    def criterion(self) -> Criterion:
        return self.attack.criterion

    def init(
        self, victim: Victim, task: Task, streams: Streams, start: Images | None = None
    ) -> Kept:
        own = self.attack.init(victim, task, streams, start)
        none = torch.zeros_like(task.labels, dtype=torch.bool)
        return Kept(0, own.x, none, own.x.new_full(none.shape, -torch.inf), own)

    def step(
        self, victim: Victim, task: Task, state: Kept, streams: Streams, watch: Watch = NOTHING
    ) -> tuple[Kept, Info]:
        own, info = self.attack.step(victim, task, state.own, streams, watch)
        kept = state.or_rather(info)
        if own.step == self.steps:
            kept = kept.or_rather(self.attack.look(victim, task, own, own.x, streams))
        return kept._replace(step=own.step, own=own), info

    def look(
        self,
        victim: Victim,
        task: Task,
        state: Kept,
        x: Images,
        streams: Streams,
        watch: Watch = NOTHING,
    ) -> Info:
        return self.attack.look(victim, task, state.own, x, streams, watch)
