"""What passes take on this machine: time, and on CUDA memory and energy."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from engine.core.errors import EngineError
from engine.evaluate.bench import most_memory, turns
from engine.evaluate.energy import joules
from engine.evaluate.machine import Clock, Machine
from engine.evaluate.progress import Progress

ROUNDS, LEAST_ROUNDS, SECONDS = 30, 5, 10.0
"""A visitor waits: on a slow machine fewer rounds are taken, and the result says how many."""


@dataclass(frozen=True)
class Timing:
    """Seconds of one pass: median and quartiles over `rounds`, all jobs taken in turn."""

    median: float
    low: float
    high: float
    rounds: int


@dataclass(frozen=True)
class Taken:
    """What each job took: seconds, bytes at its worst moment (CUDA) and joules, where the machine
    has a meter; `meter` names it, or says why there is none."""

    times: Mapping[str, Timing]
    machine: Machine
    memory: Mapping[str, int] | None
    energy: Mapping[str, float] | None
    meter: str


def timed(
    jobs: Mapping[str, Callable[[], object]], where: torch.device, rounds: int = ROUNDS
) -> Iterator[Progress | Taken]:
    """An event a round of all jobs in turn, then what was taken."""
    times: Mapping[str, Sequence[float]] = {}
    began, clock = time.perf_counter(), Clock()
    for done, spent in enumerate(turns(jobs, rounds, where), 1):
        times = spent
        yield Progress("timing", done, rounds)
        if done >= LEAST_ROUNDS and time.perf_counter() - began > SECONDS:
            break
    machine = clock.machine(where)
    summed = {name: _quartiles(spent) for name, spent in times.items()}
    memory = None
    if where.type == "cuda":
        memory = {name: most_memory(job, where) for name, job in jobs.items()}
    try:
        energy = {name: joules(job, where) for name, job in jobs.items()}
        meter = f"NVML on {machine.device}"
    except EngineError as why:
        energy, meter = None, why.sentence
    yield Taken(summed, machine, memory, energy, meter)


def _quartiles(spent: Sequence[float]) -> Timing:
    if len(spent) == 1:
        return Timing(spent[0], spent[0], spent[0], 1)
    low, middle, high = statistics.quantiles(spent, n=4, method="inclusive")
    return Timing(middle, low, high, len(spent))
