"""Fast adaptive boundary: the nearest picture that the model takes for another class."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from engine.attack.attack import NOTHING, Info, Watch, observe
from engine.attack.chain import ANOTHER_ANSWER, Chain, Links
from engine.attack.constraint import LinfBall
from engine.attack.criterion import Criterion
from engine.attack.margin_objective import Margin, likeliest
from engine.attack.moment import Moment
from engine.attack.update import sign
from engine.core.shapes import Images, PerExample
from engine.core.streams import Streams
from engine.model.sites import Site
from engine.model.task import Task
from engine.model.victim import Forward, Spec, Victim

LEAST = 1e-8
"""What a distance counts as at least, so that their ratio is one, as published."""


class Walk(NamedTuple):
    """Where each picture's walk is (`here`), the nearest found and how far it is from x0 (L-inf).

    `x` is the nearest, else where the walk is, in the ball; `reached` where the nearest is in it.
    """

    step: int
    x: Images
    here: Images
    nearest: Images
    distance: PerExample
    reached: Tensor
    clean: Forward


@dataclass(frozen=True)
class Towards:
    """z_t - z_label, t the `rank`-th likeliest wrong class of the clean picture: 0 on its border."""

    rank: int
    sites: frozenset[Site] = frozenset()
    wants_clean: bool = True

    def __call__(self, out: Forward, at: Moment) -> PerExample:
        z, pair = out.logits, torch.stack((likeliest(at, self.rank), at.task.labels), 1)
        toward, away = z.gather(1, pair).T
        return toward - away


@dataclass(frozen=True)
class FAB:
    """Targeted FAB in L-inf: towards each of the `ranks`-th likeliest wrong classes, `each` steps.

    With f = z_t - z_label, linear at x: d1, d2 the smallest changes in the box [0, 1] that bring x and
    x0 onto f = 0, a = min(|d1| / (|d1| + |d2|), 0.1),
    x <- clip((1 - a) (x + 1.05 d1) + a (x0 + 1.05 d2)), and where that is another answer, it is
    kept if it is the nearest so far, and x <- x0 + 0.9 (x - x0) (Croce and Hein, ICML 2020; targeted
    as in AutoAttack). Each class begins at x0. A task with a target has that one class, and f is its
    lead over all others. `eps` bounds only what is given in the end: a nearest picture beyond it is
    cut to the ball. Left out, as in AutoAttack's code: the final search along the last line.
    """

    eps: float
    each: int
    ranks: tuple[int, ...] = (1,)
    most: float = 0.1
    over: float = 1.05
    back: float = 0.9
    criterion: Criterion = ANOTHER_ANSWER

    @property
    def steps(self) -> int:
        return self.each * len(self.ranks)

    def init(
        self, victim: Victim, task: Task, streams: Streams, start: Images | None = None
    ) -> Walk:
        x0 = task.images
        x = x0 if start is None else start
        none = torch.zeros_like(task.labels, dtype=torch.bool)
        far = x.new_full(none.shape, torch.inf)
        return Walk(0, x, x, x, far, none, observe(victim, x0, ()))

    def step(
        self, victim: Victim, task: Task, state: Walk, streams: Streams, watch: Watch = NOTHING
    ) -> tuple[Walk, Info]:
        began = time.perf_counter()
        rank, since = divmod(state.step, self.each)
        x0 = task.images
        here = x0 if rank and not since else state.here
        at = Moment(state.step, self.steps, task, state.clean)
        found = self._toward(task, self.ranks[rank]).gradient(
            victim, here, at, streams.at("step", state.step), NOTHING
        )
        here = self._next(here, x0, found.g, found.loss)
        out = observe(victim, here, ())
        hit = self.criterion.aimed(task.targeted).reached(None, out, task)
        distance = (here - x0).abs().amax((1, 2, 3))
        nearer = hit & (distance < state.distance)
        nearest = torch.where(_wide(nearer), here, state.nearest)
        distance = torch.where(nearer, distance, state.distance)
        here = torch.where(_wide(hit), x0 + self.back * (here - x0), here)
        given = torch.where(_wide(distance < torch.inf), nearest, here)
        after = Walk(
            state.step + 1,
            LinfBall(self.eps).project(given, x0),
            here,
            nearest,
            distance,
            distance <= self.eps,
            state.clean,
        )
        spent = time.perf_counter() - began
        return after, Info(
            state.step, state.x, found.loss, spent, None, lambda: state.reached, found.g
        )

    def look(
        self,
        victim: Victim,
        task: Task,
        state: Walk,
        x: Images,
        streams: Streams,
        watch: Watch = NOTHING,
    ) -> Info:
        rank = self.ranks[min(state.step, self.steps - 1) // self.each]
        links = Links(state.step, x, None, None, state.clean)
        return self._toward(task, rank).look(victim, task, links, x, streams, watch)

    def _toward(self, task: Task, rank: int) -> Chain:
        """What f is, as a chain that is asked for gradients and looks."""
        f = Margin() if task.targeted else Towards(rank)
        return Chain(f, sign(), LinfBall(self.eps), self.steps, criterion=self.criterion)

    def _next(self, x: Images, x0: Images, g: Tensor, f: PerExample) -> Images:
        """The next point, before it is shown to anybody."""
        d1 = onto(x, g, -f)
        d2 = onto(x0, g, (g * (x - x0)).sum((1, 2, 3)) - f)
        far, back = (d.abs().amax((1, 2, 3), keepdim=True).clamp_min(LEAST) for d in (d1, d2))
        a = (far / (far + back)).clamp_max(self.most)
        return ((1 - a) * (x + self.over * d1) + a * (x0 + self.over * d2)).clamp(0, 1)


def ranks(spec: Spec, most: int) -> tuple[int, ...]:
    """Of the `most` likeliest wrong classes as many as there are, from 1."""
    return tuple(range(1, min(most, len(spec.classes) - 1) + 1))


def onto(x: Images, w: Tensor, need: PerExample) -> Tensor:
    """argmin_d max|d| with <w, d> = need and x + d in [0, 1]; the nearest there is where none is.

    All pixels move the way that w and need ask for, by t or by all the room they have, so that t
    solves sum_i |w_i| min(t, room_i) = |need|. That is piecewise linear and concave in t: Newton's
    iteration from 0 is exact once no further pixel runs out of room.
    """
    way = w.sign() * _wide(need.sign())
    room, size = torch.where(way > 0, 1 - x, x).flatten(1), w.abs().flatten(1)
    free, t = room > 0, torch.zeros_like(need)
    while True:
        slope = (size * free).sum(1)
        left = need.abs() - (size * room * ~free).sum(1)
        t = torch.where(slope > 0, left / slope, torch.inf).clamp_min(t)
        still = free & (room > t[:, None])
        if torch.equal(still, free):
            return way * torch.minimum(room, t[:, None]).view_as(x)
        free = still


def _wide(each: Tensor) -> Tensor:
    return each.view(-1, 1, 1, 1)
