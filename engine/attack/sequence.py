"""Attacks one after the other, each on the pictures that survived those before."""

from __future__ import annotations

import time
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


class Turns(NamedTuple):
    """Which attack is at work on which `rows` of the batch; `own` is its state, None when all is done.

    `fallen` are the pictures that earlier attacks succeeded on, `loss` is what was last known of
    each, `first` the first attack's state before its first step.
    """

    step: int
    x: Images
    turn: int
    rows: Tensor
    own: Any
    fallen: Tensor
    loss: PerExample
    first: Any


@dataclass(frozen=True)
class Sequence:
    """attack 1 on every picture, attack 2 on those where 1 did not reach its criterion, and so on.

    The same attack several times is an attack with restarts: from the second turn on each draws
    anew. A picture that falls to none ends as the last attack left it (AutoAttack's scheme, Croce
    and Hein, ICML 2020).
    """

    attacks: tuple[Attack, ...]

    @property
    def steps(self) -> int:
        return sum(attack.steps for attack in self.attacks)

    @property
    def criterion(self) -> Criterion:
        return self.attacks[0].criterion

    def init(
        self, victim: Victim, task: Task, streams: Streams, start: Images | None = None
    ) -> Turns:
        first = self.attacks[0].init(victim, task, streams, start)
        none = torch.zeros_like(task.labels, dtype=torch.bool)
        everyone = torch.arange(len(none), device=none.device)
        return Turns(0, first.x, 0, everyone, first, none, first.x.new_zeros(none.shape), first)

    def step(
        self, victim: Victim, task: Task, state: Turns, streams: Streams, watch: Watch = NOTHING
    ) -> tuple[Turns, Info]:
        began = time.perf_counter()
        rows, fallen, next_step = state.rows, state.fallen, state.step + 1
        if state.own is None:
            idle = Info(state.step, state.x, state.loss, 0.0, None, lambda: fallen)
            return state._replace(step=next_step), idle
        attack, part = self.attacks[state.turn], task.of(rows)
        draws = self._draws(streams, state.turn, rows)
        own, info = attack.step(victim, part, state.own, draws, watch)
        loss = state.loss.index_copy(0, rows, info.loss)
        told = Info(
            state.step,
            state.x.index_copy(0, rows, info.x),
            loss,
            time.perf_counter() - began,
            info.out if len(rows) == len(task.labels) else None,
            lambda: fallen.index_copy(0, rows, info.success),
            info.g,
        )
        x = state.x.index_copy(0, rows, own.x)
        state = state._replace(step=next_step, x=x, own=own, loss=loss)
        if own.step == attack.steps and state.turn + 1 < len(self.attacks):
            hit = attack.look(victim, part, own, own.x, draws).success
            state = self._turn(victim, task, state, streams, hit)
        return state, told

    def _turn(
        self, victim: Victim, task: Task, state: Turns, streams: Streams, hit: Tensor
    ) -> Turns:
        turn, rows = state.turn + 1, state.rows[~hit]
        fallen = state.fallen.index_copy(0, state.rows, hit)
        own = None
        if len(rows):
            draws = self._draws(streams, turn, rows)
            own = self.attacks[turn].init(victim, task.of(rows), draws)
        return state._replace(turn=turn, rows=rows, own=own, fallen=fallen)

    def look(
        self,
        victim: Victim,
        task: Task,
        state: Turns,
        x: Images,
        streams: Streams,
        watch: Watch = NOTHING,
    ) -> Info:
        return self.attacks[0].look(victim, task, state.first, x, streams, watch)

    @staticmethod
    def _draws(streams: Streams, turn: int, rows: Tensor) -> Streams:
        return streams.inside("turn", turn).of(rows.tolist()) if turn else streams
