"""How far long work has come: the one event that every measurement yields on its way."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """What is being computed, and how much of it is done."""

    what: str
    done: int
    total: int
