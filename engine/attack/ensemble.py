"""One attack on several models at once: their gradients are added up at every step."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from engine.attack.attack import NOTHING, Info, Watch
from engine.attack.chain import Chain, Links
from engine.attack.criterion import Criterion
from engine.attack.moment import Moment
from engine.core.errors import EngineError
from engine.core.shapes import Images
from engine.core.streams import Streams
from engine.model.task import Task
from engine.model.victim import Victim


class Gathered(NamedTuple):
    """An ensemble's state: the pictures, the update's, each model's own, and those that ran last."""

    step: int
    x: Images
    update: Any
    each: tuple[Links, ...]
    ran: tuple[int, ...] = ()


@dataclass(frozen=True)
class Together:
    """The chain on its victim and the `others`, along the sum of gradients scaled to mean |g| = 1.

    `every` runs all models at each step; otherwise, as QuantAttack's published code, the second
    model and one drawn uniformly from all (spec A5). Departures: gradients are scaled, so that no
    model drowns another, and each model keeps *its own* clean answer, where the published code
    compares all with the first model's logits. Models must share input size and classes. The loss
    is the mean over the models that ran; success is judged on the first of them.
    """

    chain: Chain
    others: tuple[Victim, ...]
    every: bool = True

    @property
    def steps(self) -> int:
        return self.chain.steps

    @property
    def criterion(self) -> Criterion:
        return self.chain.criterion

    def init(
        self, victim: Victim, task: Task, streams: Streams, start: Images | None = None
    ) -> Gathered:
        victims = (victim, *self.others)
        if len({(v.spec.input_size, len(v.spec.classes)) for v in victims}) != 1:
            raise EngineError("Models of an ensemble must share input size and classes.")
        each = tuple(self.chain.init(v, task, streams, start) for v in victims)
        return Gathered(0, each[0].x, each[0].update, each)

    def step(
        self, victim: Victim, task: Task, state: Gathered, streams: Streams, watch: Watch = NOTHING
    ) -> tuple[Gathered, Info]:
        began = time.perf_counter()
        victims = (victim, *self.others)
        draw = int(torch.randint(len(victims), (), generator=streams.at("ensemble", state.step)))
        some = tuple(sorted({draw, min(1, len(victims) - 1)}))
        ran = tuple(range(len(victims))) if self.every else some
        infos: list[Info] = []
        for index in ran:
            own = state.each[index]._replace(step=state.step, x=state.x)
            infos.append(self.chain.step(victims[index], task, own, streams, watch)[1])
        g = torch.stack([_scaled(info.g) for info in infos if info.g is not None]).sum(0)
        loss = torch.stack([info.loss for info in infos]).mean(0)
        at = Moment(state.step, self.steps, task, x=state.x, loss=loss)
        change, update = self.chain.update.apply(g, state.update, at)
        x = self.chain.constraint.project(state.x + change, task.images)
        seen = infos[0].out if ran[0] == 0 else None
        spent = time.perf_counter() - began
        info = Info(state.step, state.x, loss, spent, seen, infos[0].judge, g)
        return state._replace(step=state.step + 1, x=x, update=update, ran=ran), info

    def look(
        self,
        victim: Victim,
        task: Task,
        state: Gathered,
        x: Images,
        streams: Streams,
        watch: Watch = NOTHING,
    ) -> Info:
        return self.chain.look(victim, task, state.each[0], x, streams, watch)


def _scaled(g: Tensor) -> Tensor:
    size = g.abs().mean((1, 2, 3), keepdim=True)
    return g / size.masked_fill(size == 0, 1)
