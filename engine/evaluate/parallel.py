"""Several processes on one evaluation, as torchrun starts them: each takes its share, one reports."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import NamedTuple, TypeVar

import torch
from torch import distributed

T = TypeVar("T")


class Place(NamedTuple):
    """This process among `size`; process 0 leads: it alone has the whole result."""

    rank: int
    size: int

    @property
    def leads(self) -> bool:
        return self.rank == 0


def place() -> Place:
    """What RANK and WORLD_SIZE say, or one process alone; each process takes its own GPU."""
    found = Place(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))
    if found.size > 1 and torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    return found


def gather(mine: list[T]) -> list[T]:
    """Everybody's items in the order of the processes; every process must call it, once in its life.

    Messages go over gloo, whatever the device: they are lists of predictions. A process that has
    finished its share waits a day for the others.
    """
    if place().size == 1:
        return mine
    distributed.init_process_group("gloo", timeout=timedelta(days=1))
    try:
        shares: list[list[T]] = [[] for _ in range(distributed.get_world_size())]
        distributed.all_gather_object(shares, mine)
    finally:
        distributed.destroy_process_group()
    return [item for share in shares for item in share]
