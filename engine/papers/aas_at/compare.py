"""How much of a change each model withstands: one picture, attacked at a growing budget.

Every model is attacked by its own gradient, budget after budget, until it is fooled; what fools it
lies in every larger ball, so it is fooled there, too. Beside that it is shown what was made on the
others. An attack that has never seen a model must not do better than one that has its gradient: where
it does, the gradient leads astray (Athalye et al., ICML 2018), and to resist it means nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from engine.attack.recipe import Recipe
from engine.core.shapes import Images
from engine.data.labels import folded, spellings
from engine.evaluate.judge import shown
from engine.model import zoo
from engine.model.victim import Victim
from engine.papers import report as report_
from engine.papers.aas_at.contenders import Contender
from engine.papers.paper import Exhibit
from engine.studio import Subject

LADDER = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
"""Budgets in whole 255ths: what is saved has 8 bits."""


@dataclass(frozen=True)
class Try:
    """What came of a budget of eps / 255: the saved picture (3, y, x), and what the model says to it.

    `probability` is that of the class that is attacked; `steps` are those it took until it was fooled.
    """

    eps: int
    steps: int
    pixels: Tensor
    answer: int
    probability: float
    fooled: bool


@dataclass(frozen=True)
class Borrowed:
    """The smallest budget at which a picture made on another model fools this one, and whose it was."""

    eps: int
    maker: str


@dataclass(frozen=True)
class Stand:
    """A model on its way up: the clean picture, every budget tried, and what the others' pictures did."""

    model: Contender
    label: int
    tries: tuple[Try, ...]
    borrowed: Borrowed | None = None

    @property
    def falls(self) -> int | None:
        """The smallest budget that fools it: 0 where it errs unattacked, None while it stands."""
        return next((each.eps for each in self.tries if each.fooled), None)

    @property
    def misled(self) -> bool:
        """Whether a picture made without its gradient fooled it at a smaller budget."""
        return self.borrowed is not None and (self.falls is None or self.borrowed.eps < self.falls)


@dataclass(frozen=True)
class Report(report_.Report):
    """All models after the first `steps` of the `asked` budgets of `ladder`."""

    stands: tuple[Stand, ...]
    ladder: tuple[int, ...]

    @property
    def eps(self) -> int:
        """The largest budget that was tried on whoever still stood."""
        return self.ladder[self.steps - 1] if self.steps else 0

    @property
    def whole(self) -> bool:
        fell = all(each.falls is not None for each in self.stands)
        return fell or self.steps == self.asked


@dataclass(frozen=True)
class Working(report_.Working):
    """A step of the attack on one model at one budget, of all that may come to be taken on it."""

    model: str
    eps: int


Attacks = Callable[[float], Recipe]
"""The attack at a budget in [0, 1]."""


def report(
    exhibit: Exhibit,
    models: Sequence[Contender],
    attack: Attacks,
    stopped: report_.Stopped = lambda: False,
) -> Iterator[Working | Report]:
    """All models at a budget, then the next one, so that whoever stops has them equally far.

    The true class is that of the exhibit, by name; a model that lacks it, or all where none is
    named, is attacked away from its own answer.
    """
    subjects = {each.name: _subject(exhibit, each.victim) for each in models}
    stands = {each.name: _clean(each, subjects[each.name]) for each in models}
    found = Report(tuple(stands.values()), LADDER, asked=len(LADDER))
    yield found
    while not found.whole:
        eps = LADDER[found.steps]
        for name, stand in stands.items():
            if stand.falls is not None:
                continue
            for event in _attacked(stand, subjects[name], attack(eps / 255), eps, found.steps):
                if stopped():
                    return
                if isinstance(event, Working):
                    yield event
                else:
                    stands[name] = replace(stand, tries=(*stand.tries, event))
        stands = {name: _lent(stand, subjects, stands) for name, stand in stands.items()}
        found = replace(found, stands=tuple(stands.values()), steps=found.steps + 1)
        yield found


def _subject(exhibit: Exhibit, victim: Victim) -> Subject:
    label = None
    if exhibit.label is not None:
        names = zoo.class_names(zoo.card(exhibit.model, exhibit.weights))
        label = spellings(victim.spec.classes).get(folded(names[exhibit.label]))
    return Subject.of(victim, exhibit.image, label, seed=exhibit.seed)


def _clean(model: Contender, of: Subject) -> Stand:
    label = of.label
    answer = int(of.probabilities.argmax())
    likely = float(of.probabilities[label])
    return Stand(model, label, (Try(0, 0, of.pixels, answer, likely, answer != label),))


def _attacked(
    stand: Stand, of: Subject, recipe: Recipe, eps: int, tried: int
) -> Iterator[Working | Try]:
    """Steps until what would be saved fools the model, and last what came of them."""
    attack, victim, streams = recipe.build(of.victim.spec), of.victim, of.streams
    before, all_ = tried * attack.steps, len(LADDER) * attack.steps
    state = attack.init(victim, of.task, streams)
    for step in range(attack.steps):
        state, info = attack.step(victim, of.task, state, streams)
        if bool(info.success[0]) and (found := _try(of, info.x, eps, step)).fooled:
            yield found
            return
        yield Working(before + step + 1, all_, stand.model.title, eps)
    yield _try(of, state.x, eps, attack.steps)


def _try(of: Subject, x: Images, eps: int, steps: int) -> Try:
    pixels = of.saved(x, eps / 255)
    answer, likely = _says(of, pixels)
    return Try(eps, steps, pixels, answer, likely, answer != of.label)


def _says(of: Subject, pixels: Tensor) -> tuple[int, float]:
    """The answer to a saved picture, and the probability of the class that is attacked."""
    with torch.no_grad():
        likely = of.victim.logits(shown(pixels[None], of.victim))[0].softmax(0)
    return int(likely.argmax()), float(likely[of.label])


def _lent(stand: Stand, subjects: Mapping[str, Subject], all_: Mapping[str, Stand]) -> Stand:
    """The stand once it was shown what was last made on every other model.

    Only models that are attacked away from the same class lend each other pictures.
    """
    of = subjects[stand.model.name]
    if stand.borrowed is not None or stand.tries[0].fooled:
        return stand
    for name, other in all_.items():
        last = other.tries[-1]
        if name == stand.model.name or not last.eps or subjects[name].called != of.called:
            continue
        if _says(of, last.pixels)[0] != stand.label:
            return replace(stand, borrowed=Borrowed(last.eps, other.model.title))
    return stand
