"""Robust accuracy: which pictures a model still has right, whatever an attack shows it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from engine.alter.alteration import Stack
from engine.alter.catalog import spell_stack
from engine.alter.stack import fitted, outlined
from engine.attack.attack import Attack, observe, run
from engine.attack.best import Best
from engine.attack.chain import Chain
from engine.attack.constraint import LinfBall
from engine.attack.recipe import Recipe
from engine.core.errors import BadTask
from engine.core.shapes import Images, Labels
from engine.core.streams import Streams
from engine.evaluate import store
from engine.evaluate.interval import Estimate, Proportion, Rate, bootstrap, mcnemar
from engine.evaluate.judge import shown
from engine.evaluate.progress import Progress
from engine.evaluate.transfer import settings
from engine.model.task import Task, task_for
from engine.model.victim import Forward, Victim

Iterates = Literal["all", "last"]
ROUNDING = 1e-6
"""How far float sums may carry a picture out of its ball, in pixels of [0, 1]."""


@dataclass(frozen=True)
class Robust:
    """Which of n pictures a model has right when clean, and which it keeps under an attack.

    right, kept (n,) bool: a picture that is wrong when clean is not kept. `steps` is what the
    attack spends on a picture at most.
    """

    right: Tensor
    kept: Tensor
    steps: int

    @property
    def clean(self) -> Proportion:
        return Proportion(int(self.right.sum()), len(self.right))

    @property
    def accuracy(self) -> Proportion:
        """Robust accuracy: of all pictures."""
        return Proportion(int(self.kept.sum()), len(self.kept))

    def __and__(self, other: Robust) -> Robust:
        """The union of two attacks: per picture the worse of them; their steps add up."""
        return Robust(self.right, self.kept & other.kept, self.steps + other.steps)

    def then(self, other: Robust) -> Robust:
        """These pictures, then those."""
        return Robust(
            torch.cat((self.right, other.right)), torch.cat((self.kept, other.kept)), self.steps
        )


@dataclass(frozen=True)
class Paired:
    """Robust accuracy under a first attack less that under a second, in points, on the same pictures.

    Positive where the second is the stronger attack. `only_first` pictures are kept under the first
    only, `only_second` under the second only; p is McNemar's of the two.
    """

    gap: Rate
    only_first: int
    only_second: int
    p: float


def survivors(
    judge: Victim,
    recipe: Recipe,
    pixels: Tensor,
    labels: Labels,
    *,
    source: Victim | None = None,
    stack: Stack = (),
    eps: float | None = None,
    iterates: Iterates = "all",
    scaled: bool = False,
    seed: int = 0,
    first: int = 0,
    batch: int = 8,
    keep: Path | None = None,
) -> Iterator[Progress | Robust]:
    """Progress, and last which 8-bit pictures (n, 3, y, x) the judge keeps right under an attack.

    The attack is crafted on `source` (the judge itself where none is named) with the stack on it,
    fitted to each batch, and judged on the judge; with `scaled` on what it was crafted on, as
    attention scaling may have been published. "all": one wrong answer at any iterate is enough, and
    a batch ends when nobody in it stands; "last": only what the attack gives in the end, for attacks
    that keep their best (APGD, AutoAttack). Pictures are floats, as the field measures; an iterate
    out of the eps ball does not count. `eps` stands in for the recipe's where it is below 1/255.
    Each picture draws by its place, which begins at `first`, so that batches change nothing but
    rounding. `keep` holds finished batches: a run that was killed goes on.
    """
    made_on = judge if source is None else source
    attack = recipe.build(outlined(made_on, stack).spec)
    attack = attack if eps is None else within(attack, eps)
    trial = _Trial(
        attack, judge, made_on, stack, recipe.eps if eps is None else eps, iterates, scaled, seed
    )
    key = trial.key(recipe) if keep else {}
    kept, right = torch.zeros(2, len(labels), dtype=torch.bool)
    for rows in torch.arange(len(labels)).split(batch):
        part = pixels[rows], labels[rows]
        places = (rows + first).tolist()
        of = {"places": places, "labels": part[1].tolist()}
        name = store.digest(key | of | {"pixels": store.of_tensor(part[0])}) if keep else ""
        found = store.recall(keep, name) if keep else None
        if found is None:
            last = _Standing(0, right[rows], kept[rows])
            for last in trial.on(*part, places):
                done = int(rows[0]) * attack.steps + last.step * len(rows)
                yield Progress(recipe.name, done, len(labels) * attack.steps)
            found = [last.right.tolist(), last.kept.tolist()]
            if keep:
                store.keep(keep, name, found)
        right[rows], kept[rows] = torch.tensor(found)
    yield Robust(right, kept, attack.steps)


def paired(first: Tensor, second: Tensor) -> Paired:
    """Two outcomes (n,) bool of the same pictures, compared picture by picture."""
    one, other = first.double(), second.double()
    gap = bootstrap(lambda w: 100 * (w @ (one - other)) / w.sum(1), len(one))
    only = int((first & ~second).sum()), int((second & ~first).sum())
    return Paired(Rate.change(gap, len(one)), *only, mcnemar(*only))


def rate(kept: Tensor) -> Estimate:
    """A share of pictures in %, with Wilson's interval."""
    found = Proportion(int(kept.sum()), len(kept))
    low, high = found.interval
    return Estimate(100 * found.value, 100 * low, 100 * high)


def within(attack: Attack, eps: float) -> Attack:
    """The same attack in another ball; raises BadTask where its ball is not in one place."""
    if isinstance(attack, Best):
        return replace(attack, attack=within(attack.attack, eps))
    if isinstance(attack, Chain) and isinstance(attack.constraint, LinfBall):
        return replace(attack, constraint=LinfBall(eps))
    raise BadTask("This attack cannot be put into another ball.", "Set its own eps.")


class _Standing(NamedTuple):
    """Who of a batch is right when clean, and still after so many steps: (b,) on the CPU."""

    step: int
    right: Tensor
    kept: Tensor


@dataclass(frozen=True)
class _Trial:
    """An attack, what it is crafted on, and who judges what it makes."""

    attack: Attack
    judge: Victim
    source: Victim
    stack: Stack
    eps: float
    iterates: Iterates
    scaled: bool
    seed: int

    def key(self, recipe: Recipe) -> dict[str, Any]:
        """All that a batch's outcome depends on beside its pictures, but for the code."""
        return {
            "robust": settings(recipe),
            "eps": self.eps,
            "iterates": self.iterates,
            "scaled": self.scaled,
            "seed": self.seed,
            "judge": [self.judge.spec.full, store.fingerprint(self.judge)],
            "source": [
                self.source.spec.full,
                store.fingerprint(self.source),
                spell_stack(self.stack),
            ],
        }

    def on(self, pixels: Tensor, labels: Labels, places: Sequence[int]) -> Iterator[_Standing]:
        """Who still stands, after every step; only those are attacked that are right when clean."""
        task = task_for(self.judge, shown(pixels, self.judge), labels)
        streams = Streams(self.seed, tuple(places))
        everyone = torch.ones_like(task.labels, dtype=torch.bool)
        judge = self._fitted(task, streams) if self.scaled else self.judge
        right = _right(judge, task, everyone)
        yield _Standing(0, right.cpu(), right.cpu())
        if not right.any():
            return
        who = right.nonzero()[:, 0]
        task, streams, judge = task.of(who), streams.of(who.tolist()), judge.of(who)
        victim = judge if self.scaled else self._fitted(task, streams)
        under = _Attacked(self.attack, victim, judge, task, streams, self.eps, self.iterates)
        for step, stand in under.standing():
            yield _Standing(step, right.cpu(), right.index_copy(0, who, stand).cpu())

    def _fitted(self, task: Task, streams: Streams) -> Victim:
        return fitted(self.source, self.stack, task, streams)


@dataclass(frozen=True)
class _Attacked:
    """An attack on a batch that the judge has right."""

    attack: Attack
    victim: Victim
    judge: Victim
    task: Task
    streams: Streams
    eps: float
    iterates: Iterates

    def standing(self) -> Iterator[tuple[int, Tensor]]:
        """After every step who is still right (b,); ends early when nobody is."""
        task = self.task.on(self.victim)
        stand = torch.ones_like(task.labels, dtype=torch.bool)
        own = self.victim.module is self.judge.module
        for state, info in run(self.attack, self.victim, task, self.streams):
            if self.iterates == "all":
                stand = self._shown(stand, info.x, info.out if own else None)
            if state.step == self.attack.steps:
                stand = self._shown(stand, state.x, None)
            yield state.step, stand
            if not stand.any():
                return

    def _shown(self, stand: Tensor, x: Images, out: Forward | None) -> Tensor:
        """Who stands once x was shown; the judge looks only where somebody does."""
        inside = (x - self.task.images).flatten(1).abs().amax(1) <= self.eps + ROUNDING
        seen = stand & inside
        if not seen.any():
            return stand
        if out is None:
            return stand & (~seen | _right(self.judge, replace(self.task, images=x), seen))
        return stand & (~seen | (out.logits.detach().argmax(1) == self.task.labels))


def _right(judge: Victim, task: Task, rows: Tensor) -> Tensor:
    """Who of these rows the judge has right (b,); False elsewhere."""
    asked = task.of(rows)
    found = observe(judge.of(rows), asked.images.to(judge.dtype), ()).logits.argmax(1)
    return torch.zeros_like(rows).masked_scatter(rows, found == asked.labels)
