"""What stands on a page before anyone presses Run: computed earlier, kept in `assets/`.

A file holds one message for the views and a hash of the weights and of the code that made it; it is
shown only while those are the weights and the code that are here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from engine.model import zoo

FOLDER = Path(__file__).parents[1] / "assets"


def made_of(models: Iterable[str], code: Iterable[str | Path], weights: Path | None = None) -> str:
    """A hash of the models' weights and of the files of code."""
    parts = [zoo.card(name, weights).sha256.encode() for name in models]
    parts += [Path(each).read_bytes() for each in code]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def read(name: str, made: str) -> dict[str, Any] | None:
    """The message that was written as `name`, if it was made of what `made` says."""
    path = FOLDER / name
    if not path.is_file():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    return found["message"] if found["made_of"] == made else None


def write(name: str, made: str, message: dict[str, Any]) -> None:
    """Keep a message, and tell its size."""
    path = FOLDER / name
    found = {"made_of": made, "message": message}
    path.write_text(
        json.dumps(found, separators=(",", ":"), allow_nan=False) + "\n", encoding="utf-8"
    )
    print(f"{name}: {path.stat().st_size / 1e6:.2f} MB")
