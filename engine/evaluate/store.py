"""Finished pieces of work on disk, so that a run that was killed goes on where it was.

A piece is one small JSON file named by the hash of everything its result depends on: pixels,
labels, recipe, weights, seed. So a folder may be shared by processes and by different
experiments, and nothing stale is ever read; only the code is not in the hash: empty the folder
after changing an attack.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from engine.model.victim import Victim


def digest(key: Mapping[str, Any]) -> str:
    """The name of a piece."""
    text = json.dumps(key, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def fingerprint(victim: Victim) -> str:
    """SHA-256 over the names and bytes of the victim's weights."""
    found = hashlib.sha256()
    for name, value in sorted(victim.module.state_dict().items()):
        found.update(name.encode())
        found.update(of_tensor(value).encode())
    return found.hexdigest()


def of_tensor(value: Tensor) -> str:
    """SHA-256 over the bytes of a tensor."""
    return hashlib.sha256(value.detach().cpu().contiguous().numpy().tobytes()).hexdigest()


def recall(folder: Path, name: str) -> Any | None:
    """The piece of that name, or None where it was never finished."""
    try:
        return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


def keep(folder: Path, name: str, value: Any) -> None:
    """Write a piece; it appears whole or not at all, whoever else writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    scratch = folder / f"{name}.{os.getpid()}.part"
    scratch.write_text(json.dumps(value), encoding="utf-8")
    scratch.replace(folder / f"{name}.json")
