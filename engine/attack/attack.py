"""An attack is a frozen value made of orthogonal parts; a run is a generator of its steps.

Nothing is open across a `yield`: each step opens and closes its own session on the victim, so two
visitors' runs may interleave on one model, and a run that is dropped leaves nothing behind.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from engine.attack.constraint import Constraint
from engine.attack.estimate import Direct, Estimator, Gradient, Oracle
from engine.attack.moment import Moment, repeat
from engine.attack.objective import Objective
from engine.attack.rule import Remembering
from engine.attack.update import Update
from engine.attack.view import Prepared, View, identity
from engine.core.errors import NotFinite
from engine.core.shapes import Images, PerExample
from engine.core.streams import Streams
from engine.model.sites import Address, Rule, Site
from engine.model.task import Task
from engine.model.victim import Forward, Victim

MOST_IMAGES = 16
"""Images in one forward pass of an estimator's further points: what a small machine can hold."""

Memory = Mapping[Address, Tensor]


class State(NamedTuple):
    """All that the next step needs; `rules` holds what each remembering rule keeps."""

    step: int
    x: Images
    update: Any
    estimate: Any
    clean: Forward | None
    ready: Any = None
    rules: tuple[Memory, ...] = ()


class Info(NamedTuple):
    """What a person wants to know of a step, measured at the x it started from.

    `out` is the victim's own pass there (with what was watched), or None where the attack showed
    the model something else than x.
    """

    step: int
    loss: PerExample
    success: Tensor
    seconds: float
    out: Forward | None


class Watch(NamedTuple):
    """Sites to record on the way, values and gradients, in the attack's own passes."""

    values: frozenset[Site] = frozenset()
    gradients: frozenset[Site] = frozenset()


NOTHING = Watch()
DIRECT = Direct()


@dataclass(frozen=True)
class Attack:
    """objective x view x rules x estimate x update x constraint, `steps` times.

    x <- project(x + update(estimate(d objective(victim(view(x))) / d x)))
    """

    objective: Objective
    update: Update
    constraint: Constraint
    steps: int
    view: View = identity
    rules: tuple[Rule, ...] = ()
    estimate: Estimator = DIRECT
    start: Literal["clean", "random"] = "clean"

    @property
    def plain(self) -> bool:
        """Whether the pass of a step is the victim's own pass on x."""
        edits = any(type(rule).edit is not Rule.edit for rule in self.rules)
        return self.view is identity and self.update.ahead is None and not edits

    def init(self, victim: Victim, task: Task, streams: Streams) -> State:
        x = task.images
        clean = observe(victim, x, self.objective.sites) if self.objective.wants_clean else None
        ready = self.view.prepare(victim, task) if isinstance(self.view, Prepared) else None
        if self.start == "random":
            x = self.constraint.sample(x, streams.at("start"))
        past: tuple[Memory, ...] = tuple({} for _ in self.rules)
        return State(0, x, self.update.init(x), self.estimate.init(x), clean, ready, past)

    def step(
        self, victim: Victim, task: Task, state: State, streams: Streams, watch: Watch = NOTHING
    ) -> tuple[State, Info]:
        began = time.perf_counter()
        at = Moment(state.step, self.steps, task, state.clean, ready=state.ready)
        seen, ruled = (streams.at("step", state.step, part) for part in ("view", "rules"))
        own = self.arm(len(task.images), state.rules, ruled)

        def here(x: Images) -> Gradient:
            return self.gradient(victim, x, at, seen, watch, own)

        def mean(points: Tensor, weights: Tensor) -> Tensor:
            return self._mean(victim, points, weights, at, state.rules, seen, ruled)

        offset = self.update.ahead(state.update) if self.update.ahead else None
        start = state.x if offset is None else state.x + offset
        draws = streams.at("step", state.step, "estimate")
        found, estimate = self.estimate(Oracle(here, mean), start, state.estimate, draws)
        if not bool(torch.isfinite(found.loss).all()):
            raise NotFinite(
                f"The loss became {found.loss.mean().item()} at step {state.step + 1}.",
                "Lower the step size or choose another model.",
            )
        direction, update = self.update.apply(found.g, state.update, at)
        x = self.constraint.project(state.x + direction, task.images)
        info = Info(
            state.step,
            found.loss,
            task.reached(found.out.logits.argmax(1)),
            time.perf_counter() - began,
            found.out if self.plain else None,
        )
        kept = tuple(rule.kept if isinstance(rule, Remembering) else {} for rule in own)
        return state._replace(
            step=state.step + 1, x=x, update=update, estimate=estimate, rules=kept
        ), info

    def gradient(
        self,
        victim: Victim,
        x: Images,
        at: Moment,
        gen: torch.Generator,
        watch: Watch,
        rules: Sequence[Rule] | None = None,
    ) -> Gradient:
        """d sum(objective) / d x under the rules: one forward, one backward."""
        with (
            torch.enable_grad(),
            victim.session(
                rules=self.arm(len(x), (), gen) if rules is None else rules,
                observe={*self.objective.sites, *watch.values},
                gradients={*self.objective.sites, *watch.gradients},  # keeps their graph
            ) as forward,
        ):
            leaf = x.detach().requires_grad_()
            at = replace(at, x=leaf)
            out = forward(self.view(leaf, at, gen))
            loss = self.objective(out, at)
            (g,) = torch.autograd.grad(loss.sum(), leaf)
        return Gradient(g, loss.detach(), out)

    def arm(
        self, pictures: int, past: Sequence[Memory], gen: torch.Generator, copies: int = 1
    ) -> tuple[Rule, ...]:
        """The rules as they act in one pass: those that draw or remember get what they need."""

        def working(index: int, rule: Rule) -> Rule:
            if not isinstance(rule, Remembering):
                return rule
            known = past[index] if past else {}
            return rule.arm(pictures, {at: repeat(v, copies) for at, v in known.items()}, gen)

        return tuple(working(index, rule) for index, rule in enumerate(self.rules))

    def _mean(
        self,
        victim: Victim,
        points: Tensor,
        weights: Tensor,
        at: Moment,
        past: Sequence[Memory],
        seen: torch.Generator,
        ruled: torch.Generator,
    ) -> Tensor:
        b = points.shape[1]
        total = torch.zeros_like(points[0])
        most = max(1, MOST_IMAGES // b)
        for part, weight in zip(points.split(most), weights.split(most), strict=True):
            copies = len(part)
            rules = self.arm(copies * b, past, ruled, copies)
            moment = at.copies(copies)
            g = self.gradient(victim, part.flatten(0, 1), moment, seen, NOTHING, rules).g
            total += torch.einsum("n,nb...->b...", weight, g.view_as(part))
        return total


def observe(victim: Victim, x: Images, sites: Collection[Site]) -> Forward:
    """One pass without gradient that records the given sites."""
    with torch.no_grad(), victim.session(observe=sites) as forward:
        return forward(x)


def run(
    attack: Attack, victim: Victim, task: Task, streams: Streams
) -> Iterator[tuple[State, Info]]:
    """The attack's steps, one by one; the last State holds the adversarial images."""
    state = attack.init(victim, task, streams)
    for _ in range(attack.steps):
        state, info = attack.step(victim, task, state, streams)
        yield state, info


def craft(attack: Attack, victim: Victim, task: Task, streams: Streams) -> Images:
    """The adversarial images after all steps."""
    x = task.images
    for state, _ in run(attack, victim, task, streams):
        x = state.x
    return x
