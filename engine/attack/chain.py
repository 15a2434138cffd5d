"""The common attack: a frozen value made of orthogonal parts, one gradient after the other."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from engine.attack.attack import NOTHING, Info, Watch, observe
from engine.attack.constraint import Constraint
from engine.attack.criterion import AnotherAnswer, Criterion
from engine.attack.estimate import Direct, Estimator, Gradient, Oracle
from engine.attack.moment import Moment, repeat
from engine.attack.objective import Anchored, Objective
from engine.attack.rule import Remembering
from engine.attack.update import Update
from engine.attack.view import Prepared, View, identity
from engine.core.errors import NotFinite
from engine.core.shapes import Images
from engine.core.streams import Streams
from engine.model.sites import Address, Rule, Site
from engine.model.task import Task
from engine.model.victim import Forward, Victim

MOST_IMAGES = 16
"""Images in one forward pass of an estimator's further points: what a small machine can hold."""

DIRECT = Direct()
ANOTHER_ANSWER = AnotherAnswer()

Memory = Mapping[Address, Tensor]


class Links(NamedTuple):
    """A chain's state: what the next step needs of each part; `rules` is what remembering ones keep."""

    step: int
    x: Images
    update: Any
    estimate: Any
    clean: Forward | None
    ready: Any = None
    rules: tuple[Memory, ...] = ()
    first: Forward | None = None


@dataclass(frozen=True)
class Chain:
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
    criterion: Criterion = ANOTHER_ANSWER

    @property
    def plain(self) -> bool:
        """Whether the pass of a step is the victim's own pass on x."""
        edits = any(type(rule).edit is not Rule.edit for rule in self.rules)
        return self.view is identity and self.update.ahead is None and not edits

    @property
    def sites(self) -> frozenset[Site]:
        """What every pass records."""
        return frozenset({*self.objective.sites, *self.criterion.sites})

    def init(
        self, victim: Victim, task: Task, streams: Streams, start: Images | None = None
    ) -> Links:
        x = task.images if start is None else start
        wanted = self.objective.wants_clean or self.criterion.wants_clean
        clean = observe(victim, task.images, self.sites) if wanted else None
        ready = self.view.prepare(victim, task) if isinstance(self.view, Prepared) else None
        if start is None and self.start == "random":
            x = self.constraint.sample(x, streams.at("start"))
        anchored = isinstance(self.objective, Anchored) and self.objective.wants_first
        first = observe(victim, x, self.sites) if anchored else None
        past: tuple[Memory, ...] = tuple({} for _ in self.rules)
        return Links(0, x, self.update.init(x), self.estimate.init(x), clean, ready, past, first)

    def step(
        self, victim: Victim, task: Task, state: Links, streams: Streams, watch: Watch = NOTHING
    ) -> tuple[Links, Info]:
        began = time.perf_counter()
        at = Moment(state.step, self.steps, task, state.clean, ready=state.ready, first=state.first)
        seen, ruled = (streams.at("step", state.step, part) for part in ("view", "rules"))
        own = self.arm(len(task.images), state.rules, ruled)
        watched = watch if self.plain else NOTHING

        def here(x: Images) -> Gradient:
            return self.gradient(victim, x, at, seen, watched, own)

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
        at = replace(at, x=state.x, loss=found.loss)
        direction, update = self.update.apply(found.g, state.update, at)
        x = self.constraint.project(state.x + direction, task.images)
        kept = tuple(rule.kept if isinstance(rule, Remembering) else {} for rule in own)
        own_pass = found.out if self.plain else None
        info = self._info(state, state.x, task, found, began, own_pass)
        return state._replace(
            step=state.step + 1, x=x, update=update, estimate=estimate, rules=kept
        ), info

    def look(
        self,
        victim: Victim,
        task: Task,
        state: Links,
        x: Images,
        streams: Streams,
        watch: Watch = NOTHING,
    ) -> Info:
        began = time.perf_counter()
        plain = tuple(rule for rule in self.rules if type(rule).edit is Rule.edit)
        bare = replace(self, view=identity, rules=plain)
        at = Moment(state.step, self.steps, task, state.clean, first=state.first)
        gen = streams.at("probe")
        if watch.gradients:
            found = bare.gradient(victim, x, at, gen, watch)
            return self._info(state, x, task, found, began, found.out)
        rules = bare.arm(len(x), (), gen)  # without a gradient they only choose the same kernels
        with (
            torch.no_grad(),
            victim.session(rules=rules, observe=self.sites | watch.values) as forward,
        ):
            out = forward(x)
        loss = self.objective(out, replace(at, x=x))
        judge = partial(self.aimed(task).reached, state.clean, out, task)
        return Info(state.step, x, loss, time.perf_counter() - began, out, judge)

    def aimed(self, task: Task) -> Criterion:
        """The criterion as it judges this task."""
        return self.criterion.aimed(task.targeted)

    def _info(
        self,
        state: Links,
        x: Images,
        task: Task,
        found: Gradient,
        began: float,
        out: Forward | None,
    ) -> Info:
        judge = partial(self.aimed(task).reached, state.clean, found.out, task)
        spent = time.perf_counter() - began
        return Info(state.step, x, found.loss, spent, out, judge, found.g)

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
                observe={*self.sites, *watch.values},
                gradients=watch.gradients,
                graph=self.objective.sites,
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
