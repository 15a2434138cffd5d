"""A search by queries: squares of pixels are tried at random, and no gradient is asked for."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from engine.attack.attack import NOTHING, Info, Watch, observe
from engine.attack.chain import ANOTHER_ANSWER, Chain, Links
from engine.attack.constraint import LinfBall
from engine.attack.criterion import Criterion
from engine.attack.margin_objective import Margin
from engine.attack.moment import Moment
from engine.attack.update import sign
from engine.core.shapes import Images, PerExample
from engine.core.streams import Streams, uniform
from engine.model.task import Task
from engine.model.victim import Victim

PACE = 10_000
"""The number of queries that the published halvings are of."""
HALVINGS = 10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000
"""Queries of PACE after which the share of changed pixels is halved."""


class Tries(NamedTuple):
    """The best pictures so far with their margin, and whether they have what is wanted."""

    step: int
    x: Images
    loss: PerExample
    reached: Tensor


@dataclass(frozen=True)
class Square:
    """x' = P(x + 2 eps r on an s x s square), kept where it raises the margin or reaches the goal.

    The first query is vertical stripes x0 +- eps, a sign r per column and channel; then a square at
    a place drawn evenly, a sign r per channel, s = round(sqrt(p rows columns)), p halved after each
    of HALVINGS (Andriushchenko et al., ECCV 2020, Algorithms 1 and 2). For another number of queries
    than PACE they are scaled in proportion, as the paper has it; with `scaled` off they are not, as
    in AutoAttack's code. A picture that has what is wanted is asked no more. Each picture draws its
    own squares, where AutoAttack's code draws one for the whole batch.
    """

    eps: float
    steps: int
    share: float = 0.8
    scaled: bool = True
    criterion: Criterion = ANOTHER_ANSWER

    def init(
        self, victim: Victim, task: Task, streams: Streams, start: Images | None = None
    ) -> Tries:
        x = task.images if start is None else start
        none = torch.zeros_like(task.labels, dtype=torch.bool)
        return Tries(0, x, x.new_full(none.shape, -torch.inf), none)

    def step(
        self, victim: Victim, task: Task, state: Tries, streams: Streams, watch: Watch = NOTHING
    ) -> tuple[Tries, Info]:
        began = time.perf_counter()
        rows = (~state.reached).nonzero()[:, 0]
        if not len(rows):
            info = Info(state.step, state.x, state.loss, 0.0, None, lambda: state.reached)
            return state._replace(step=state.step + 1), info
        tried = torch.where(_wide(state.reached), state.x, self._proposed(task, state, streams))
        part = task.of(rows)
        out = observe(victim.of(rows), tried[rows], watch.values)
        margin = Margin()(out, Moment(state.step, self.steps, part))
        hit = self.criterion.aimed(task.targeted).reached(None, out, part)
        loss = state.loss.index_copy(0, rows, margin.to(state.loss))
        reached = state.reached.index_copy(0, rows, hit)
        better = (loss > state.loss) | (reached & ~state.reached)
        spent = time.perf_counter() - began
        whole = out if len(rows) == len(task.labels) else None
        info = Info(state.step, tried, loss, spent, whole, lambda: reached)
        x = torch.where(_wide(better), tried, state.x)
        return Tries(state.step + 1, x, torch.where(better, loss, state.loss), reached), info

    def look(
        self,
        victim: Victim,
        task: Task,
        state: Tries,
        x: Images,
        streams: Streams,
        watch: Watch = NOTHING,
    ) -> Info:
        margins = Chain(Margin(), sign(), LinfBall(self.eps), 0, criterion=self.criterion)
        return margins.look(victim, task, Links(state.step, x, None, None, None), x, streams, watch)

    def side(self, query: int, rows: int, columns: int) -> int:
        """The square's side at a query, the stripes being query 0."""
        at = query * PACE / self.steps if self.scaled else query
        share = self.share / 2 ** sum(at > mark for mark in HALVINGS)
        return min(max(round(math.sqrt(share * rows * columns)), 1), rows, columns)

    def _proposed(self, task: Task, state: Tries, streams: Streams) -> Images:
        """What each picture is tried as (b, 3, y, x)."""
        x, gen = state.x, streams.at("step", state.step, "square")
        b, channels, rows, columns = x.shape
        if state.step == 0:
            signs = uniform((b, channels, 1, columns), gen).to(x).sub(0.5).sign()
            change = self.eps * signs
        else:
            side = self.side(state.step, rows, columns)
            place, signs = uniform((b, 2 + channels), gen).to(x).split((2, channels), 1)
            top, left = (place * place.new_tensor([rows - side + 1, columns - side + 1])).long().T
            inside = _within(top, side, rows)[:, :, None] & _within(left, side, columns)[:, None]
            change = 2 * self.eps * signs.sub(0.5).sign()[:, :, None, None] * inside[:, None]
        return LinfBall(self.eps).project(x + change, task.images)


def _within(first: Tensor, side: int, length: int) -> Tensor:
    """Where first <= place < first + side (b, length)."""
    place = torch.arange(length, device=first.device)
    return (place >= first[:, None]) & (place < first[:, None] + side)


def _wide(each: Tensor) -> Tensor:
    return each.view(-1, 1, 1, 1)
