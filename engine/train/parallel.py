"""Several processes on one training run: who am I, which rows are mine, what is the mean."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed

from engine.core import placement


@dataclass(frozen=True)
class World:
    """This process among `size`; process 0 leads: it alone writes and reports."""

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def mine(self, batch: Tensor) -> Tensor:
        """This process's equal share of a whole batch's rows."""
        return batch.chunk(self.size)[self.rank]

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its mean over processes, in one message."""
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([t.flatten() for t in tensors])
        distributed.all_reduce(flat)
        flat /= self.size
        pieces = flat.split([t.numel() for t in tensors])
        for tensor, piece in zip(tensors, pieces, strict=True):
            tensor.copy_(piece.view_as(tensor))

    def wait(self) -> None:
        """Return when every process has come here."""
        if self.size > 1:
            distributed.barrier()


@contextmanager
def join(device: torch.device | None) -> Generator[World]:
    """The world that torchrun describes (RANK, WORLD_SIZE, LOCAL_RANK), or a world of one.

    Without a `device` each process takes its own GPU, or the CPU; messages go over NCCL or gloo.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World(0, 1, device or placement.device())
        return
    where = device or placement.device()
    if where == torch.device("cuda"):
        where = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(where)
    distributed.init_process_group("nccl" if where.type == "cuda" else "gloo")
    try:
        yield World(distributed.get_rank(), size, where)
    finally:
        distributed.destroy_process_group()
