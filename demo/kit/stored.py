"""What stands on a page before anyone presses Run: computed earlier, kept in `assets/`.

A file holds one message for the views and a hash of the weights and of the code that made it; it is
shown only while those are the weights and the code that are here. A file that is cut, or that holds
something else, is left out and named by `problems`.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from engine.model import zoo

log = logging.getLogger(__name__)

FOLDER = Path(__file__).parents[2] / "assets"
problems: dict[str, str] = {}  # for each file that could not be read, what a page says of it


def made_of(models: Iterable[str], code: Iterable[str | Path], weights: Path | None = None) -> str:
    """A hash of the models' weights and of the files of code."""
    parts = [zoo.card(name, weights).sha256.encode() for name in models]
    parts += [Path(each).read_bytes() for each in code]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def read(name: str, made: str) -> dict[str, Any] | None:
    """The message that was written as `name`, if it can be read and was made of what `made` says."""
    problems.pop(name, None)
    path = FOLDER / name
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        message: dict[str, Any] = {**found["message"]}
        return message if found["made_of"] == made else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as damage:
        problems[name] = "The earlier result could not be read; press Run."
        log.warning("%s could not be read (%s: %s)", path, type(damage).__name__, damage)
        return None


def write(name: str, made: str, message: dict[str, Any]) -> None:
    """Keep a message, and tell its size."""
    path = FOLDER / name
    found = {"made_of": made, "message": message}
    path.write_text(
        json.dumps(found, separators=(",", ":"), allow_nan=False) + "\n", encoding="utf-8"
    )
    print(f"{name}: {path.stat().st_size / 1e6:.2f} MB")
