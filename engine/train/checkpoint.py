"""Checkpoints that survive a kill: one safetensors file, replaced whole or not at all.

No random state is stored: every draw is a function of the seed, the epoch and the step.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor
from torch.optim import Optimizer

from engine.core.errors import EngineError
from engine.core.files import write_atomically
from engine.train.network import Network

FILE = "checkpoint.safetensors"


class BadCheckpoint(EngineError):
    """A checkpoint is missing, or belongs to another run."""


class Learner(NamedTuple):
    """All that training changes: the network, the moving average of it, the optimiser."""

    net: Network
    average: Network
    optimiser: Optimizer


def save_checkpoint(folder: Path, learner: Learner, story: Mapping[str, Any]) -> None:
    """Write the learner and its `story` (anything JSON can hold) after an epoch."""
    tensors = {
        **_named("net", learner.net.state_dict()),
        **_named("average", learner.average.state_dict()),
        **_named("optimiser", _moments(learner.optimiser)),
    }
    cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomically(folder / FILE, save(cpu, {"story": json.dumps(story)}))


def load_checkpoint(folder: Path, learner: Learner, run: Mapping[str, Any]) -> dict[str, Any]:
    """Put the saved state into `learner` and return its story.

    Raises BadCheckpoint if there is none, or it was made by a run other than `run`.
    """
    path = folder / FILE
    if not path.is_file():
        raise BadCheckpoint(f"There is no checkpoint in {folder}.", "Start without --resume.")
    with safe_open(path, framework="pt") as file:
        story: dict[str, Any] = json.loads(file.metadata()["story"])
        if story["run"] != json.loads(json.dumps(run)):
            raise BadCheckpoint(
                f"The checkpoint in {folder} belongs to a run with other settings.",
                "Resume with the recipe, epochs and seed it was started with, or choose another --out.",
            )
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    learner.net.load_state_dict(_within("net", tensors))
    learner.average.load_state_dict(_within("average", tensors))
    _set_moments(learner.optimiser, _within("optimiser", tensors))
    return story


def _moments(optimiser: Optimizer) -> dict[str, Tensor]:
    state: dict[int, dict[str, Tensor]] = optimiser.state_dict()["state"]
    return {f"{i}.{key}": value for i, entry in state.items() for key, value in entry.items()}


def _set_moments(optimiser: Optimizer, moments: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in moments.items():
        index, key = name.split(".")
        state.setdefault(int(index), {})[key] = value
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})


def _named(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}


def _within(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    start = f"{prefix}/"
    return {n.removeprefix(start): tensor for n, tensor in tensors.items() if n.startswith(start)}
