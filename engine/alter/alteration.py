"""An alteration: a change of a victim that is a value, with knobs, a name and a place in a stack."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import ClassVar, TypeAlias

from torch import Tensor

from engine.alter.ensemble import Mean, ensemble
from engine.core.errors import BadStack
from engine.core.knobs import Knobbed, knobs, words
from engine.core.streams import Streams
from engine.model.task import Task
from engine.model.victim import Victim


@dataclass(frozen=True, eq=False)
class Alteration(Knobbed, ABC):
    """Base of all alterations. A subclass is one file: `name`, `title`, `paper`, knobs and `change`.

    The victim that it is called on is not touched; weights that stay the same may be shared. Its
    spelling is `name:knob=word,...`, knobs at their defaults left out. `outermost` is one that
    wraps the whole model, so that nothing may be changed beneath it.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    paper: ClassVar[str]
    outermost: ClassVar[bool] = False

    @abstractmethod
    def change(self, victim: Victim) -> Victim:
        """The altered victim; raises UnsupportedModel where this kind of model cannot be."""

    def fitted(self, victim: Victim, task: Task, streams: Streams) -> Alteration:
        """Itself, unless it is to be fitted to the pictures that are attacked."""
        del victim, task, streams
        return self

    def of(self, rows: Tensor) -> Alteration:
        """Itself, unless it is fitted: then as it is for some of its pictures (numbers or a mask)."""
        del rows
        return self

    def state(self, victim: Victim) -> Hashable:
        """What it depends on beside its knobs, such as a file that may be written anew."""
        del victim
        return None

    @property
    def told(self) -> str:
        """What it found in the first of the pictures that it is fitted to, in a sentence, else ""."""
        return ""

    @property
    def outline(self) -> Alteration:
        """Itself, or what stands in for it, with the same sites, while it is fitted to nothing."""
        return self

    def __call__(self, victim: Victim) -> Victim:
        """The altered victim, which remembers this in `spec.alterations`.

        Of an ensemble each member is altered. Raises UnsupportedModel, and BadStack where what was
        done to the victim before does not allow it.
        """
        if isinstance(victim.module, Mean):
            return ensemble([self(member) for member in victim.module.victims])
        done = victim.spec.alterations
        for before in (each for each in done if isinstance(each, Alteration)):
            if type(before) is type(self):
                raise BadStack(f"{victim.spec.name} has {self.title} already.", "Name it once.")
            if before.outermost:
                raise BadStack(
                    f"{self.title} cannot be put on a model that runs in {before.title}.",
                    f"Name {self.name} before {before.name}.",
                )
        made = self.change(victim)
        return replace(made, spec=replace(made.spec, alterations=(*done, self)), part=None)

    def __str__(self) -> str:
        spelled, default = words(self), {each.name: each.word(each.default) for each in knobs(self)}
        told = ",".join(f"{key}={word}" for key, word in spelled.items() if word != default[key])
        return f"{self.name}:{told}" if told else self.name


Stack: TypeAlias = tuple[Alteration, ...]
"""Alterations in the order in which they are applied; () is the model as it is."""
