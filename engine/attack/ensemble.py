"""One attack on several models at once: their gradients are added up at every step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from engine.attack.attack import Attack, State, Watch
from engine.attack.moment import Moment
from engine.core.errors import EngineError
from engine.core.shapes import Images, PerExample
from engine.core.streams import Streams
from engine.model.task import Task
from engine.model.victim import Victim


class Together(NamedTuple):
    """One step of an ensemble: the pictures after it, and the mean loss over the models that ran."""

    step: int
    x: Images
    loss: PerExample
    ran: tuple[int, ...]


def run_together(
    attack: Attack, victims: Sequence[Victim], task: Task, streams: Streams, *, every: bool = True
) -> Iterator[Together]:
    """The attack's steps along the sum of the models' gradients, each scaled to mean |g| = 1.

    `every` runs all models at each step; otherwise, as QuantAttack's published code, the second
    model and one drawn uniformly from all (spec A5). Departures: gradients are scaled, so that no
    model drowns another, and each model keeps *its own* clean answer, where the published code
    compares all with the first model's logits. Models must share input size and classes.
    """
    if len({(v.spec.input_size, len(v.spec.classes)) for v in victims}) != 1:
        raise EngineError("Models of an ensemble must share input size and classes.")
    states: list[State] = [attack.init(v, task, streams) for v in victims]
    x, update = states[0].x, states[0].update
    for step in range(attack.steps):
        draw = int(torch.randint(len(victims), (), generator=streams.at("ensemble", step)))
        ran = (
            tuple(range(len(victims))) if every else tuple(sorted({draw, min(1, len(victims) - 1)}))
        )
        directions: list[Tensor] = []
        losses: list[Tensor] = []
        at = Moment(step, attack.steps, task)
        for index in ran:
            at = Moment(step, attack.steps, task, states[index].clean, ready=states[index].ready)
            gen = streams.at("step", step, "view")
            found = attack.gradient(victims[index], x, at, gen, Watch())
            size = found.g.abs().mean((1, 2, 3), keepdim=True)
            directions.append(found.g / size.masked_fill(size == 0, 1))
            losses.append(found.loss)
        change, update = attack.update.apply(torch.stack(directions).sum(0), update, at)
        x = attack.constraint.project(x + change, task.images)
        yield Together(step, x, torch.stack(losses).mean(0), ran)
