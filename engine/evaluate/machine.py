"""Which machine a time was measured on, and what else kept that machine busy meanwhile."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from engine.core.placement import describe

PROC = Path("/proc")


@dataclass(frozen=True)
class Machine:
    """Device and processor in words, its cores, and how many of them other programs kept busy while
    the times were taken (None where the system does not say)."""

    device: str
    processor: str
    cores: int
    others: float | None


class Clock:
    """Started before a measurement; `machine` afterwards says what it was made on."""

    def __init__(self) -> None:
        self._wall, self._own, self._busy = time.perf_counter(), time.process_time(), busy()

    def machine(self, where: torch.device) -> Machine:
        """The machine, and the mean load that this process is not to blame for."""
        wall, own, now = time.perf_counter(), time.process_time(), busy()
        others = None
        if now is not None and self._busy is not None and wall > self._wall:
            spent = (now - self._busy) - (own - self._own)
            others = max(0.0, spent) / (wall - self._wall)
        return Machine(describe(where), processor(), os.cpu_count() or 1, others)


def busy(proc: Path = PROC) -> float | None:
    """Seconds that all cores together have worked since the machine started; Linux tells.

    user + nice + system + irq + softirq + steal of the first line of /proc/stat, in its ticks.
    """
    try:
        words = (proc / "stat").read_text(encoding="utf-8").split("\n", 1)[0].split()
        user, nice, system, _, _, irq, softirq, steal = (int(word) for word in words[1:9])
    except (OSError, ValueError):
        return None
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def processor(proc: Path = PROC) -> str:
    """The processor's name as it calls itself."""
    try:
        lines = (proc / "cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()
