"""Altered victims, each made once and kept as long as there is room for it beside the loaded ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache, reduce
from operator import or_

import torch

from engine.alter.alteration import Alteration, Stack
from engine.alter.catalog import ON, parse
from engine.alter.ensemble import Mean, ensemble, members, resized
from engine.core.streams import Streams
from engine.model.shelf import SHELF
from engine.model.task import Task
from engine.model.victim import Victim


def altered(victim: Victim, stack: Stack) -> Victim:
    """The victim with all of the stack, in order, shared by all who ask for it.

    Raises UnsupportedModel where the model cannot be altered so, and BadStack where one alteration
    cannot stand on another.
    """
    if not stack:
        return victim
    *below, last = stack
    key = victim, stack, tuple(each.state(victim) for each in stack)
    return SHELF.get(key, lambda: last(altered(victim, tuple(below))))


def outlined(victim: Victim, stack: Stack) -> Victim:
    """The victim with all of the stack fitted to nothing: its sites are what attacks are built for."""
    return altered(victim, tuple(each.outline for each in stack))


def fitted(victim: Victim, stack: Stack, task: Task, streams: Streams) -> Victim:
    """The victim with all of the stack, fitted in order to the pictures that are attacked.

    It is for these pictures, or copies of all of them; `of` gives that of some. Members of an
    ensemble are fitted each to its own. Raises UnsupportedModel and BadStack.
    """
    if not any(each.outline is not each for each in stack):
        return altered(victim, stack)
    if isinstance(victim.module, Mean):
        shown = [
            (each, replace(task, images=resized(task.images, each)))
            for each in victim.module.victims
        ]
        return _together([fitted(each, stack, own, streams) for each, own in shown])
    on, known = victim, list[Alteration]()
    for each in stack:
        known.append(each.fitted(on, task, streams))
        on = known[-1](on)
    return _of_these(on, victim, tuple(known))


def _of_these(on: Victim, victim: Victim, known: Stack) -> Victim:
    @lru_cache(2)  # an attack asks for the same ones at each of its steps
    def some(rows: tuple[int, ...]) -> Victim:
        kept = tuple(each.of(torch.tensor(rows)) for each in known)
        return _of_these(reduce(or_, kept, victim), victim, kept)

    return replace(on, part=lambda rows: some(tuple(rows.tolist())))


def _together(members: Sequence[Victim]) -> Victim:
    return replace(
        ensemble(members), part=lambda rows: _together([each.of(rows) for each in members])
    )


def named(name: str, load: Callable[[str], Victim]) -> Victim:
    """The model of that name: "a", the ensemble "a+b", or an altered one, "a|ats|int8:threshold=4".

    Alterations bind tighter than "+": in "a+b|ats" only b is altered.
    """
    found = [_one(each, load) for each in members(name)]
    return found[0] if len(found) == 1 else ensemble(found)


def _one(name: str, load: Callable[[str], Victim]) -> Victim:
    model, *alterations = name.split(ON)
    stack = tuple(map(parse, alterations))  # first: what is misspelled loads nothing
    return altered(load(model.strip()), stack)
