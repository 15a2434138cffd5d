"""Finished pieces of a long run in a folder of its own, so that a kill costs the last piece only."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save
from torch import Tensor

from engine.core.files import write_atomically
from engine.train.checkpoint import BadCheckpoint

RUN = "run.json"


@dataclass(frozen=True)
class Pieces:
    """Named sets of tensors, each whole or not there, that belong to one run."""

    folder: Path

    def begin(self, run: Mapping[str, Any], *, resume: bool) -> None:
        """Start anew, or go on with what is there; raises BadCheckpoint if that is another run's."""
        path = self.folder / RUN
        if not resume:
            self.clear()
            write_atomically(path, json.dumps(run, indent=2).encode())
        elif not path.is_file():
            raise BadCheckpoint(f"There is no run in {self.folder}.", "Start without --resume.")
        elif json.loads(path.read_text(encoding="utf-8")) != json.loads(json.dumps(run)):
            raise BadCheckpoint(
                f"The run in {self.folder} has other settings, pictures or weights.",
                "Resume with those it was started with, or start without --resume.",
            )

    def keep(self, name: str, tensors: Mapping[str, Tensor]) -> None:
        write_atomically(self._file(name), save(dict(tensors)))

    def recall(self, name: str) -> dict[str, Tensor] | None:
        """The piece of that name, or None where it was never finished."""
        path = self._file(name)
        return load_file(path) if path.is_file() else None

    def clear(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.safetensors"
