"""Random numbers by name: the draw for a place depends on the seed and the place, on nothing else."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Streams:
    """A seed from which named generators are made.

    `at("start")` and `at("step", 3)` are independent of the order of calls and of each other, so
    adding a part that draws never shifts another part's draws. Generators live on the CPU: draw
    there and move the result, and a GPU sees the same noise.
    """

    seed: int

    def at(self, *path: str | int) -> torch.Generator:
        text = "/".join(map(str, (self.seed, *path)))
        digest = hashlib.sha256(text.encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
