"""AutoAttack: four attacks in turn, each on what survived, and checks of whether to believe them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from torch import Tensor

from engine.attack.apgd import apgd
from engine.attack.attack import NOTHING, Attack, Info, Watch
from engine.attack.criterion import Criterion
from engine.attack.fab import FAB, ranks
from engine.attack.flags import better_blind, flags
from engine.attack.margin_objective import TargetedDLR
from engine.attack.objective import CrossEntropy
from engine.attack.sequence import ALREADY, STANDS, Sequence, Turns
from engine.attack.square import Square
from engine.core.shapes import Images
from engine.core.streams import Streams
from engine.model.task import Task
from engine.model.victim import Spec, Victim

SQUARE = "Square"


class Checked(NamedTuple):
    """Where the attacks stand, and what the checks of the model said before them."""

    own: Turns
    flags: tuple[str, ...]

    @property
    def step(self) -> int:
        return self.own.step

    @property
    def x(self) -> Images:
        return self.own.x

    @property
    def reached(self) -> Tensor:
        return self.own.reached


@dataclass(frozen=True)
class AutoAttack:
    """APGD on the cross-entropy, APGD on the targeted DLR loss towards each of the likeliest wrong
    classes, targeted FAB towards each of them, Square: each on the pictures that stand.

    Pictures that the model has wrong are not attacked (Croce and Hein, ICML 2020, the standard
    version: 100 iterations, 9 classes, 5000 queries). A model of fewer classes is aimed at with all it
    has, one of fewer than four without APGD-T.
    """

    eps: float
    each: int
    targets: int
    queries: int
    spec: Spec

    @cached_property
    def parts(self) -> tuple[tuple[str, Attack], ...]:
        """The attacks in turn, by name."""
        aims = TargetedDLR.on(self.spec, self.targets) if len(self.spec.classes) >= 4 else ()
        return (
            ("APGD-CE", apgd(CrossEntropy(), self.eps, self.each)),
            *(("APGD-T", apgd(aim, self.eps, self.each)) for aim in aims),
            *(("FAB-T", FAB(self.eps, self.each, (k,))) for k in ranks(self.spec, self.targets)),
            (SQUARE, Square(self.eps, self.queries, scaled=False)),
        )

    @cached_property
    def sequence(self) -> Sequence:
        return Sequence(tuple(attack for _, attack in self.parts), spare=True)

    @property
    def steps(self) -> int:
        return self.sequence.steps

    @property
    def criterion(self) -> Criterion:
        return self.sequence.criterion

    def init(
        self, victim: Victim, task: Task, streams: Streams, start: Images | None = None
    ) -> Checked:
        found = flags(victim, task, self.eps, self.targets, streams)
        return Checked(self.sequence.init(victim, task, streams, start), tuple(found))

    def step(
        self, victim: Victim, task: Task, state: Checked, streams: Streams, watch: Watch = NOTHING
    ) -> tuple[Checked, Info]:
        own, info = self.sequence.step(victim, task, state.own, streams, watch)
        return state._replace(own=own), info

    def look(
        self,
        victim: Victim,
        task: Task,
        state: Checked,
        x: Images,
        streams: Streams,
        watch: Watch = NOTHING,
    ) -> Info:
        return self.sequence.look(victim, task, state.own, x, streams, watch)

    def told(self, state: Any) -> tuple[str, ...]:
        """Who fell to what, and every check that makes it doubtful."""
        own: Turns = state.own
        by_queries = int((own.fell == len(self.parts) - 1).sum())
        blind = better_blind(by_queries, len(own.fell))
        return (self._account(own), *state.flags, *([blind] if blind else []))

    def felled(self, own: Turns) -> dict[str, int]:
        """How many pictures fell to each attack."""
        counts = dict.fromkeys((name for name, _ in self.parts), 0)
        for turn in own.fell.tolist():
            if turn >= 0:
                counts[self.parts[turn][0]] += 1
        return counts

    def _account(self, own: Turns) -> str:
        """The outcome attack by attack."""
        ran = f"AutoAttack ({self.each} iterations, {self.targets} classes, {self.queries} queries)"
        if len(own.fell) > 1:
            counts = ", ".join(f"{count} to {name}" for name, count in self.felled(own).items())
            return f"{ran}: {counts} fell; {int((own.fell == STANDS).sum())} stand."
        turn, after = int(own.fell), int(own.after)
        if turn == ALREADY:
            return f"{ran}: the model has the clean picture wrong, so there is nothing to attack."
        if turn != STANDS:
            but = "" if bool(own.held) else ", though not as it is saved, in 8 bits"
            return f"{ran}: the picture fell to {self.parts[turn][0]} after {after} steps{but}."
        if own.own is None:
            return f"{ran}: the picture stands against all of it, {after} steps."
        return f"{ran}: the picture stands so far; {self.parts[own.turn][0]} is at work."
