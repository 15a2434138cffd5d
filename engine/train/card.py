"""The finished model on disk: float16 weights and the card that tells where they come from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from engine.core.assets import ASSETS
from engine.core.errors import EngineError
from engine.core.files import write_atomically

LICENSE = "Apache-2.0"
BUNDLED = ASSETS / "models"


class MissingModel(EngineError):
    """A bundled model that a recipe builds on has not been trained yet."""


def half(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors as they ship: floating ones rounded to float16, on the CPU."""
    return {
        name: (t.half() if t.is_floating_point() else t).detach().cpu().contiguous()
        for name, t in tensors.items()
    }


def write_model(
    folder: Path, name: str, tensors: Mapping[str, Tensor], card: Mapping[str, Any]
) -> tuple[Path, dict[str, Any]]:
    """Write NAME.safetensors and, once it stands, NAME.json: the card with the file's size and hash."""
    content = save(dict(tensors))
    path = folder / f"{name}.safetensors"
    write_atomically(path, content)
    full = {
        **card,
        "file": path.name,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    write_atomically(folder / f"{name}.json", json.dumps(full, indent=2).encode() + b"\n")
    return path, full


def read_card(folder: Path, name: str) -> dict[str, Any]:
    """The card of a finished model of the folder, or else a bundled one; raises MissingModel."""
    return json.loads(_file(folder, name, "json").read_text(encoding="utf-8"))


def read_weights(folder: Path, name: str) -> dict[str, Tensor]:
    """Its tensors, floating ones as float32; raises MissingModel."""
    tensors = load_file(_file(folder, name, "safetensors"))
    return {k: t.float() if t.dtype == torch.float16 else t for k, t in tensors.items()}


def _file(folder: Path, name: str, kind: str) -> Path:
    for place in (folder, BUNDLED):
        if (place / f"{name}.safetensors").is_file() and (place / f"{name}.{kind}").is_file():
            return place / f"{name}.{kind}"
    raise MissingModel(f"There is no model {name} in {folder}.", "Train that recipe first.")
