"""Altered victims, each made once and kept as long as there is room for it beside the loaded ones."""

from __future__ import annotations

from collections.abc import Callable

from engine.alter.alteration import Stack
from engine.alter.catalog import ON, parse
from engine.alter.ensemble import ensemble, members
from engine.model.shelf import SHELF
from engine.model.victim import Victim


def altered(victim: Victim, stack: Stack) -> Victim:
    """The victim with all of the stack, in order, shared by all who ask for it.

    Raises UnsupportedModel where the model cannot be altered so, and BadStack where one alteration
    cannot stand on another.
    """
    if not stack:
        return victim
    *below, last = stack
    return SHELF.get((victim, stack), lambda: last(altered(victim, tuple(below))))


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
