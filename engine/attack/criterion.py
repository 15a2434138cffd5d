"""What success means: a part of the attack, judged picture by picture, and the words for it.

Over many pictures the field says *attack success rate* (where the criterion is reached, of those
that were right before) and *robust accuracy* (right answers under attack).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple, Protocol

from torch import Tensor

from engine.attack.feature_objective import FEATURE, Axis, similarity
from engine.core.shapes import PerExample
from engine.model.sites import Site
from engine.model.task import Task
from engine.model.victim import Forward, Spec


class Outcome(NamedTuple):
    """One picture's result: the criterion's figures, and the answers before and after by name."""

    reached: bool
    figures: Mapping[str, float]
    label: str
    before: str
    after: str
    target: str = ""


class Verdict(NamedTuple):
    """An outcome in words: a badge ("fooled") and a headline ("fooled: golf ball -> tench").

    "half" is what is neither success nor nothing, as another class than the one asked for.
    """

    state: Literal["yes", "half", "no"]
    short: str
    text: str


class Criterion(ABC):
    """When an attack has what it wants. `reached` is batch-safe: each picture on its own.

    `sites` must have been recorded in the passes it is given; without `wants_clean` the clean pass
    may be None. `goal` says before a run what will count, `first` where in a run it first did.
    """

    name: ClassVar[str]
    first: ClassVar[str]
    wants_clean: ClassVar[bool] = False

    @property
    def sites(self) -> frozenset[Site]:
        return frozenset()

    @property
    @abstractmethod
    def goal(self) -> str: ...

    def aimed(self, targeted: bool) -> Criterion:
        """The criterion of the same attack where a class is asked for, or is not."""
        del targeted
        return self

    def lacks(self, spec: Spec) -> str | None:
        """Why it cannot be judged on a model, or None where it can."""
        missing = sorted(self.sites - spec.sites)
        return f"{spec.name} has no “{missing[0].value}” to judge by." if missing else None

    @abstractmethod
    def reached(self, clean: Forward | None, now: Forward, task: Task) -> Tensor:
        """Where the attack has what it wants (b,), bool."""

    def figures(self, clean: Forward | None, now: Forward) -> Mapping[str, PerExample]:
        """What the decision rests on, beside the answers."""
        del clean, now
        return {}

    @abstractmethod
    def verdict(self, outcome: Outcome) -> Verdict:
        """The words for one picture."""


@dataclass(frozen=True)
class AnotherAnswer(Criterion):
    """argmax z(x) is not the label."""

    name = "another answer"
    first = "first fooled at"

    @property
    def goal(self) -> str:
        return "the model gives another answer"

    def aimed(self, targeted: bool) -> Criterion:
        return AskedAnswer() if targeted else self

    def reached(self, clean: Forward | None, now: Forward, task: Task) -> Tensor:
        return answers(now) != task.labels

    def verdict(self, outcome: Outcome) -> Verdict:
        return _told("yes" if outcome.reached else "no", _fooled(outcome.reached), outcome)


@dataclass(frozen=True)
class AskedAnswer(Criterion):
    """argmax z(x) is the target."""

    name = "asked answer"
    first = "target first reached at"

    @property
    def goal(self) -> str:
        return "the model gives the answer that was asked for"

    def reached(self, clean: Forward | None, now: Forward, task: Task) -> Tensor:
        assert task.target is not None  # a task without one is AnotherAnswer's
        return answers(now) == task.target

    def verdict(self, outcome: Outcome) -> Verdict:
        if outcome.reached:
            return _told("yes", "target reached", outcome)
        if outcome.after != outcome.label:
            return _told("half", f"fooled, but not {outcome.target}", outcome)
        return _told("no", _fooled(False), outcome)


class Cost(Protocol):
    """A number per picture that a pass costs, read at `sites`; `name` is what is counted."""

    @property
    def name(self) -> str: ...
    @property
    def sites(self) -> frozenset[Site]: ...
    def __call__(self, out: Forward) -> PerExample: ...


@dataclass(frozen=True)
class CostUp(Criterion):
    """cost(x) >= least max(cost(x0), 1), and argmax z(x) = argmax z(x0).

    `least` is 2: a doubling. Noise of the attack's size leaves the count of outlier columns where
    it is, and so does a good part of attacks that aim at something else.
    """

    cost: Cost
    least: float = 2.0

    name = "cost up, answer kept"
    first = "cost first up at"
    wants_clean = True

    @property
    def sites(self) -> frozenset[Site]:
        return self.cost.sites

    @property
    def goal(self) -> str:
        return f"at least {self.least:g} x the {self.cost.name}, answer kept"

    def lacks(self, spec: Spec) -> str | None:
        if self.sites <= spec.sites:
            return None
        return f"{spec.name} has no place where its {self.cost.name} could be counted."

    def reached(self, clean: Forward | None, now: Forward, task: Task) -> Tensor:
        assert clean is not None  # wanted above
        before, after = self.cost(clean), self.cost(now)
        return (after >= self.least * before.clamp_min(1)) & (answers(now) == answers(clean))

    def figures(self, clean: Forward | None, now: Forward) -> Mapping[str, PerExample]:
        """Counts now and clean, now / clean (a clean count of 0 taken as 1), and 1 where kept."""
        assert clean is not None
        before, after = self.cost(clean), self.cost(now)
        return {
            self.cost.name: after,
            f"{self.cost.name}, clean": before,
            "times": after / before.clamp_min(1),
            "answer kept": (answers(now) == answers(clean)).to(after),
        }

    def verdict(self, outcome: Outcome) -> Verdict:
        found, name = outcome.figures, self.cost.name
        times, kept = found["times"], bool(found["answer kept"])
        counts = f"{found[f'{name}, clean']:g} -> {found[name]:g}"
        answer = f"the answer changed: {outcome.before} -> {outcome.after}"
        if times < self.least:
            left = "answer kept" if kept else answer
            short = f"{name}: {counts}, not {_short(self.least)} x as many; {left}"
            return Verdict("no", "not costlier", short)
        text = f"costs {_short(times)} x the {name} ({counts}), "
        if not kept:
            return Verdict("half", "costlier, answer changed", f"{text}but {answer}")
        return Verdict("yes", "costlier, answer kept", f"{text}answer kept")


class Spared(Cost, Protocol):
    """A cost that a model spares some of, in billions; `dense` is what it would be if it spared none."""

    def dense(self, out: Forward) -> PerExample: ...


@dataclass(frozen=True)
class GapClosed(Criterion):
    """(cost(x) - cost(x0)) / (dense - cost(x0)) >= least, and argmax z(x) = argmax z(x0).

    `least` is 1/2: most of what the model spared on the clean picture is lost. A doubling, as
    `CostUp` asks for, is out of reach of a model that keeps more than half of its tokens; noise of
    the attack's size takes a tenth of what is spared, and an attack on the answer not much more. Where
    nothing was spared, nothing can be lost: the share is 0.
    """

    cost: Spared
    least: float = 0.5

    name = "saving lost, answer kept"
    first = "saving first lost at"
    wants_clean = True

    @property
    def sites(self) -> frozenset[Site]:
        return self.cost.sites

    @property
    def goal(self) -> str:
        return f"at least {self.least:.0%} of what the model spares is lost, answer kept"

    def lacks(self, spec: Spec) -> str | None:
        if self.sites <= spec.sites:
            return None
        return (
            f"{spec.name} has no tokens asleep that could be woken: it computes all of them. "
            "Alter a plain ViT or DeiT by ATS, or choose an A-ViT or AdaViT."
        )

    def reached(self, clean: Forward | None, now: Forward, task: Task) -> Tensor:
        assert clean is not None  # wanted above
        return (self._share(clean, now) >= self.least) & (answers(now) == answers(clean))

    def figures(self, clean: Forward | None, now: Forward) -> Mapping[str, PerExample]:
        """Counts now, clean and dense, the share of the saving that is lost, and 1 where kept."""
        assert clean is not None
        name = self.cost.name
        return {
            name: self.cost(now),
            f"{name}, clean": self.cost(clean),
            f"{name}, dense": self.cost.dense(clean),
            "saving lost": self._share(clean, now),
            "answer kept": (answers(now) == answers(clean)).to(now.logits),
        }

    def verdict(self, outcome: Outcome) -> Verdict:
        found, name = outcome.figures, self.cost.name
        lost, kept = found["saving lost"], bool(found["answer kept"])
        before, after, dense = (
            f"{found[name + which] / 1e9:.3g}" for which in (", clean", "", ", dense")
        )
        counts = f"{before} -> {after} of {dense} G{name}"
        answer = "answer kept"
        if not kept:
            answer = f"the answer changed: {outcome.before} -> {outcome.after}"
        text = f"{lost:.0%} of the saving lost ({counts}), {'' if kept else 'but '}{answer}"
        if lost < self.least:
            return Verdict("no", "saving not lost", text)
        if not kept:
            return Verdict("half", "saving lost, answer changed", text)
        return Verdict("yes", "saving lost, answer kept", text)

    def _share(self, clean: Forward, now: Forward) -> PerExample:
        before, after, dense = self.cost(clean), self.cost(now), self.cost.dense(clean)
        return ((after - before) / (dense - before)).where(dense > before, 0)


@dataclass(frozen=True)
class FeatureMoved(Criterion):
    """cos(f(x), f(x0)) <= most, f what the head pools."""

    most: float = 0.5
    axis: Axis = "channel"

    name = "feature moved"
    first = "feature first moved at"
    wants_clean = True

    @property
    def sites(self) -> frozenset[Site]:
        return FEATURE

    @property
    def goal(self) -> str:
        return f"features with a cosine of at most {self.most:g} to the clean ones"

    def lacks(self, spec: Spec) -> str | None:
        if self.sites <= spec.sites:
            return None
        return (
            f"{spec.name} has no feature to judge by: not all of its tokens reach the head, or its "
            "inside is not known."
        )

    def reached(self, clean: Forward | None, now: Forward, task: Task) -> Tensor:
        return self._cosine(clean, now) <= self.most

    def figures(self, clean: Forward | None, now: Forward) -> Mapping[str, PerExample]:
        return {"feature cosine": self._cosine(clean, now)}

    def verdict(self, outcome: Outcome) -> Verdict:
        cosine = outcome.figures["feature cosine"]
        state, short = ("yes", "feature moved") if outcome.reached else ("no", "feature in place")
        return Verdict(state, short, f"{short}: cosine {cosine:.2f} to the clean feature")

    def _cosine(self, clean: Forward | None, now: Forward) -> PerExample:
        assert clean is not None  # wanted above
        return similarity(now, clean, self.axis).detach()


def answers(out: Forward) -> Tensor:
    """The model's classes (b,)."""
    return out.logits.argmax(1)


def _fooled(reached: bool) -> str:
    return "fooled" if reached else "not fooled"


def _told(state: Literal["yes", "half", "no"], short: str, outcome: Outcome) -> Verdict:
    return Verdict(state, short, f"{short}: {outcome.before} -> {outcome.after}")


def _short(value: float) -> str:
    """27.4 as 27, 2.91 as 2.9, 2.0 as 2."""
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}".removesuffix(".0")
