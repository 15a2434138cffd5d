"""Attacks one after the other, each on the pictures that survived those before."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from engine.attack.attack import NOTHING, Attack, Info, Watch
from engine.attack.criterion import Criterion
from engine.core.shapes import Images, PerExample
from engine.core.streams import Streams
from engine.model.task import Task
from engine.model.victim import Victim

STANDS, ALREADY = -1, -2
"""Instead of an attack's number: fell to none, and needed none."""


@runtime_checkable
class Keeping(Protocol):
    """A state that says where its x has what is wanted (b,), which no later step gives up."""

    @property
    def reached(self) -> Tensor: ...


class Turns(NamedTuple):
    """Which attack is at work on which `rows` of the batch; `own` is its state, None when all is done.

    `fell` is the attack that each picture fell to, else STANDS or ALREADY, and `after` the steps that
    it took by then; `held` is where what was found holds in 8 bits, too, and is not touched again.
    `loss` is what was last known of each, `first` the first attack's state before its first step, of
    the whole batch.
    """

    step: int
    x: Images
    turn: int
    rows: Tensor
    own: Any
    fell: Tensor
    after: Tensor
    held: Tensor
    loss: PerExample
    first: Any

    @property
    def reached(self) -> Tensor:
        return self.fell != STANDS


@dataclass(frozen=True)
class Sequence:
    """attack 1 on every picture, attack 2 on those where 1 did not reach its criterion, and so on.

    The same attack several times is an attack with restarts: from the second turn on each draws
    anew. A picture that falls to none ends as the last attack left it (AutoAttack's scheme, Croce
    and Hein, ICML 2020). Where an attack keeps what it has found (`Keeping`), a picture's first that
    holds in 8 bits is kept, and the turn ends when each has one; `step` then goes on where the next
    attack begins, and is `steps` as soon as nobody stands. `spare` leaves pictures as they are that need no attack.
    """

    attacks: tuple[Attack, ...]
    spare: bool = False

    @property
    def steps(self) -> int:
        return self._before(len(self.attacks))

    @property
    def criterion(self) -> Criterion:
        return self.attacks[0].criterion

    def init(
        self, victim: Victim, task: Task, streams: Streams, start: Images | None = None
    ) -> Turns:
        first = own = self.attacks[0].init(victim, task, streams, start)
        rows = torch.arange(len(task.labels), device=task.labels.device)
        none, loss = torch.zeros_like(rows), first.x.new_zeros(rows.shape)
        state = Turns(0, first.x, 0, rows, own, none + STANDS, none, none > 0, loss, first)
        if not self.spare:
            return state
        hit = self.attacks[0].look(victim, task, first, task.images, streams).success
        return self._spared(victim, task, state, streams, hit) if bool(hit.any()) else state

    def step(
        self, victim: Victim, task: Task, state: Turns, streams: Streams, watch: Watch = NOTHING
    ) -> tuple[Turns, Info]:
        """One step of the attack whose turn it is; raises where nobody stands any more."""
        began = time.perf_counter()
        rows, fallen, attack = state.rows, state.reached, self.attacks[state.turn]
        draws = self._draws(streams, state.turn, rows)
        own, info = attack.step(victim.of(rows), task.of(rows), state.own, draws, watch)
        told = Info(
            state.step,
            state.x.index_copy(0, rows, info.x),
            state.loss.index_copy(0, rows, info.loss.to(state.loss)),
            time.perf_counter() - began,
            info.out if len(rows) == len(task.labels) else None,
            lambda: fallen.index_copy(0, rows, fallen[rows] | info.success),
            info.g,
        )
        stood = ~state.held[rows]
        x = torch.where(stood.view(-1, 1, 1, 1), own.x, state.x[rows])
        state = state._replace(
            step=self._before(state.turn) + own.step,
            x=state.x.index_copy(0, rows, x),
            own=own,
            after=state.after.index_add(0, rows, stood.to(state.after)),
            loss=told.loss,
        )
        if isinstance(own, Keeping):
            state = self._settled(victim, task, self._felled(state, own.reached), streams)
        if own.step == attack.steps or bool(state.held[rows].all()):
            state = self._turn(victim, task, state, streams)
        return state, told

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

    def _spared(
        self, victim: Victim, task: Task, state: Turns, streams: Streams, hit: Tensor
    ) -> Turns:
        """Before the first step, without the pictures that need none."""
        rows = state.rows[~hit]
        state = state._replace(
            x=torch.where(hit.view(-1, 1, 1, 1), task.images, state.x),
            rows=rows,
            fell=state.fell.masked_fill(hit, ALREADY),
        )
        if not len(rows):
            return state._replace(step=self.steps, own=None)
        draws = self._draws(streams, 0, rows)
        return state._replace(own=self.attacks[0].init(victim.of(rows), task.of(rows), draws))

    def _turn(self, victim: Victim, task: Task, state: Turns, streams: Streams) -> Turns:
        """The next attack's, on those who stand."""
        attack, own, rows = self.attacks[state.turn], state.own, state.rows
        if not isinstance(own, Keeping):
            draws = self._draws(streams, state.turn, rows)
            hit = attack.look(victim.of(rows), task.of(rows), own, own.x, draws).success
            state = self._felled(state, hit)
        turn, rows = state.turn + 1, rows[~state.reached[rows]]
        if not len(rows) or turn == len(self.attacks):
            return state._replace(step=self.steps, rows=rows, own=None)
        draws = self._draws(streams, turn, rows)
        own = self.attacks[turn].init(victim.of(rows), task.of(rows), draws)
        step = self._before(turn)
        return state._replace(step=step, turn=turn, rows=rows, own=own)

    def _settled(self, victim: Victim, task: Task, state: Turns, streams: Streams) -> Turns:
        """Which finds hold once they are saved; looked at where there are any that may."""
        rows = state.rows
        open_ = state.reached[rows] & ~state.held[rows]
        if not bool(open_.any()):
            return state
        attack, draws = self.attacks[state.turn], self._draws(streams, state.turn, rows)
        saved = (state.x[rows] * 255).round() / 255
        info = attack.look(victim.of(rows), task.of(rows), state.own, saved, draws)
        held = state.held[rows] | (open_ & info.success)
        return state._replace(held=state.held.index_copy(0, rows, held))

    @staticmethod
    def _felled(state: Turns, hit: Tensor) -> Turns:
        """Which of the turn's pictures, as far as they stood, fell to its attack."""
        past = state.fell[state.rows]
        now = torch.where(hit & (past == STANDS), state.turn, past)
        return state._replace(fell=state.fell.index_copy(0, state.rows, now))

    def _before(self, turn: int) -> int:
        """The steps of all attacks before that one."""
        return sum(attack.steps for attack in self.attacks[:turn])

    @staticmethod
    def _draws(streams: Streams, turn: int, rows: Tensor) -> Streams:
        return (streams.inside("turn", turn) if turn else streams).of(rows.tolist())


def restarted(attack: Attack, times: int) -> Attack:
    """The attack as often as that, each time on what survived so far and from new noise."""
    return attack if times == 1 else Sequence((attack,) * times)
