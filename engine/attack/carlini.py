"""Carlini and Wagner's search for the nearest picture with another answer."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from engine.attack.attack import NOTHING, Info, Watch
from engine.attack.chain import ANOTHER_ANSWER, Chain, Links
from engine.attack.constraint import LinfBall, to_8bit
from engine.attack.criterion import Criterion
from engine.attack.margin_objective import Margin
from engine.attack.moment import Moment
from engine.attack.update import adam, scale
from engine.core.shapes import Images, PerExample
from engine.core.streams import Streams
from engine.model.task import Task
from engine.model.victim import Victim

INSIDE = 0.999999
"""How near to the box's walls w may begin, as published; on them it would be infinite."""
ENOUGH = 1e9
"""The first upper end of every search for a weight."""


class Search(NamedTuple):
    """Where a search stands: `w` and Adam's state walk, `weight` is tried between `low` and `high`.

    `x` is the nearest picture found, at the squared distance `least`, or where there is none yet the
    one that walks; `hit` says whether this round has found any.
    """

    step: int
    x: Images
    w: Tensor
    walk: Any
    weight: PerExample
    low: PerExample
    high: PerExample
    hit: Tensor
    least: PerExample


@dataclass(frozen=True)
class CarliniWagner:
    """min |x - x0|^2 + c max(-margin(x), -kappa), x = lo + (hi - lo) (tanh w + 1) / 2, by Adam on w.

    [lo, hi] is the box cut by the eps ball. c is sought for each picture in `rounds` of `inner`
    steps, each from x0: halved between the largest that failed and the smallest that found a
    picture, ten times as large while none did (S&P 2017, section VI). The margin is above 0 where the
    goal is reached, and is the loss that a step tells, for rounds share it.

    Where pictures are `rounded`, the model sees x in 8 bits and the gradient goes through as if it
    did not: what counts as found is then what a file will hold. Nearest pictures move most pixels
    by less than half of 1/255, which rounding would undo.
    """

    eps: float
    inner: int
    rounds: int
    rate: float
    weight: float
    kappa: float = 0.0
    rounded: bool = True
    criterion: Criterion = ANOTHER_ANSWER

    @property
    def steps(self) -> int:
        return self.rounds * self.inner

    @property
    def chain(self) -> Chain:
        """The margin and its gradient."""
        return Chain(Margin(), scale(0.0), LinfBall(self.eps), self.steps, criterion=self.criterion)

    def init(
        self, victim: Victim, task: Task, streams: Streams, start: Images | None = None
    ) -> Search:
        x = task.images if start is None else start
        none = x.new_zeros(len(x))
        w, weight, high = self._inside(x, task.images), none + self.weight, none + ENOUGH
        walk = adam(self.rate).init(w)
        return Search(0, x, w, walk, weight, none, high, none > 0, none + torch.inf)

    def step(
        self, victim: Victim, task: Task, state: Search, streams: Streams, watch: Watch = NOTHING
    ) -> tuple[Search, Info]:
        began, x0 = time.perf_counter(), task.images
        x, slope = self._picture(state.w, x0)
        at = Moment(state.step % self.inner, self.inner, task)
        found = self.chain.gradient(victim, x, at, streams.at("step", state.step), watch)
        reached = self.criterion.aimed(task.targeted).reached(None, found.out, task)
        hit, far = reached & (found.loss >= self.kappa), (x - x0).square().sum((1, 2, 3))
        pull = state.weight * (found.loss < self.kappa)
        g = slope * (2 * (x - x0) - pull.view(-1, 1, 1, 1) * found.g)
        change, walk = adam(self.rate).apply(g, state.walk, at)
        nearer = hit & (far < state.least)
        shown = nearer | state.least.isinf()
        least = torch.where(nearer, far, state.least)
        state = state._replace(
            step=state.step + 1,
            x=torch.where(shown.view(-1, 1, 1, 1), x, state.x),
            w=state.w - change,
            walk=walk,
            hit=state.hit | hit,
            least=least,
        )
        if state.step % self.inner == 0:
            state = self._next_weight(state, x0)
        spent = time.perf_counter() - began
        return state, Info(
            state.step - 1, x, found.loss, spent, found.out, lambda: reached, found.g
        )

    def look(
        self,
        victim: Victim,
        task: Task,
        state: Search,
        x: Images,
        streams: Streams,
        watch: Watch = NOTHING,
    ) -> Info:
        links = Links(state.step, x, None, None, None)
        return self.chain.look(victim, task, links, x, streams, watch)

    def _picture(self, w: Tensor, x0: Images) -> tuple[Images, Tensor]:
        """x and dx/dw."""
        low, high = LinfBall(self.eps).ends(x0)
        span, t = high - low, w.tanh()
        x = low + span * (t + 1) / 2
        if self.rounded:
            x = to_8bit(x, x0, self.eps).to(x) / 255
        return x, span * (1 - t.square()) / 2

    def _inside(self, x: Images, x0: Images) -> Tensor:
        """The w of a picture."""
        low, high = LinfBall(self.eps).ends(x0)
        return (INSIDE * (2 * (x - low) / (high - low).clamp_min(1e-12) - 1)).atanh()

    def _next_weight(self, state: Search, x0: Images) -> Search:
        """The next round's, from where the search begins."""
        high = torch.where(state.hit, torch.minimum(state.high, state.weight), state.high)
        low = torch.where(state.hit, state.low, torch.maximum(state.low, state.weight))
        weight = torch.where(high < ENOUGH, (low + high) / 2, 10 * state.weight)
        w = self._inside(x0, x0)
        return state._replace(
            w=w,
            walk=adam(self.rate).init(w),
            weight=weight,
            low=low,
            high=high,
            hit=torch.zeros_like(state.hit),
        )
