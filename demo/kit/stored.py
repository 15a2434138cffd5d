"""What stands on a page before anyone presses Run: computed earlier, kept in `assets/`.

A file holds one message for the views, a hash of the weights, pictures and settings it is of, and a
hash of the code that made it. It is shown only while the former is what is here. Where the code has
changed since, a cheap part is computed again and compared: that is what `python -m demo.stored
--check` does, and the tests. A file that is cut, or that holds something else, is left out and
named by `problems`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from demo.kit import closure
from engine.core.assets import ASSETS
from engine.model import zoo

log = logging.getLogger(__name__)

FOLDER = ASSETS
WITHIN = 0.02
"""Float32 sums differ between machines, and a step is a sign: where a gradient is next to nothing,
a pixel may go the other way. The first steps' figures differ by far less."""
Message = dict[str, Any]
Told = Callable[[int, int], None]
"""How far making has come: steps done, of all."""
State = Literal["current", "due", "stale", "damaged", "missing"]
problems: dict[str, str] = {}  # for each file that could not be read, what a page says of it


@dataclass(frozen=True)
class Stored:
    """One such result: its file, the module that makes it, and what it must be made of.

    `make` computes all of it; `part` what is cheap of it, as a message too. `figures` are those
    numbers of a message that a part has as well; they may differ by WITHIN, counts by `slack`.
    """

    file: str
    module: str
    made_of: Callable[[], str]
    make: Callable[[Told], Message]
    part: Callable[[], Message]
    figures: Callable[[Message], dict[str, float]]
    slack: float = 0.0

    def state(self) -> State:
        """Whether the file is of what is here: `due` where only the code has changed."""
        if not (FOLDER / self.file).is_file():
            return "missing"
        if (found := _found(self.file)) is None:
            return "damaged"
        if found["made_of"] != self.made_of():
            return "stale"
        return "current" if found.get("code") == closure.code(self.module) else "due"

    def differences(self) -> list[str]:
        """In what the kept message is not what the code of today makes of a part."""
        kept = read(self.file, self.made_of())
        part: Message = json.loads(json.dumps(self.part()))  # as the file would hold it
        if kept is None:
            return [f"{self.file} cannot be read"]
        ours, theirs = self.figures(kept), self.figures(part)
        assert theirs, "a part without figures says nothing"
        return [
            *unlike(kept, part),
            *(
                f"{name} is {ours.get(name)}, now {value}"
                for name, value in theirs.items()
                if not math.isclose(
                    ours.get(name, math.nan), value, rel_tol=WITHIN, abs_tol=self.slack
                )
            ),
        ]

    def approve(self) -> None:
        """Note that today's code makes the same."""
        found = _found(self.file)
        assert found is not None
        self._write(found["message"])

    def renew(self, told: Told) -> int:
        """Compute and keep it; the bytes of the file."""
        return self._write(self.make(told))

    def _write(self, message: Message) -> int:
        return write(self.file, self.made_of(), message, closure.code(self.module))


def hashed(
    models: Iterable[str], pictures: Iterable[Path], weights: Path | None, **settings: Any
) -> str:
    """A hash of the models' weights, of picture files, and of settings."""
    parts = [zoo.card(name, weights).sha256.encode() for name in models]
    parts += [each.read_bytes() for each in pictures]
    parts.append(json.dumps(settings, sort_keys=True).encode())
    return hashlib.sha256(b"".join(parts)).hexdigest()


def read(name: str, made: str) -> Message | None:
    """The message that was written as `name`, if it can be read and was made of what `made` says."""
    problems.pop(name, None)
    if not (FOLDER / name).is_file() or (found := _found(name)) is None:
        return None
    return found["message"] if found["made_of"] == made else None


def write(name: str, made: str, message: Message, code: str = "") -> int:
    """Keep a message, what it was made of on a line of its own; the bytes of the file."""
    head = json.dumps({"made_of": made, "code": code}, separators=(",", ":"))
    body = json.dumps(message, separators=(",", ":"), allow_nan=False)
    return (FOLDER / name).write_text(f'{head[:-1]},\n"message":{body}}}\n', encoding="utf-8")


def silent(done: int, total: int) -> None:
    """For whoever does not want to know."""


def numbers(value: Any, place: str = "") -> dict[str, float]:
    """Every number in a nest, by its place; of a packed array its mean."""
    if isinstance(value, dict) and {*value} == {"type", "shape", "data"}:
        packed = np.frombuffer(b64decode(value["data"]), f"<{value['type']}")
        return {place: float(packed.mean(dtype=float))}
    if isinstance(value, dict):
        inside = list(value.items())
    elif isinstance(value, list):
        inside = list(enumerate(value, 1))
    else:
        return {place: float(value)} if _kind(value) == "a number" else {}
    found = (numbers(each, f"{place} {name}".strip()) for name, each in inside)
    return {name: number for each in found for name, number in each.items()}


def unlike(kept: Any, part: Any, place: str = "it") -> Iterator[str]:
    """Where a part has other keys or kinds than what is kept; what is empty in either may follow."""
    if kept is None or part is None:
        return
    if isinstance(kept, dict) and isinstance(part, dict):
        for key in sorted({*kept} ^ {*part}):
            yield f"{place}.{key} is only in {'the file' if key in kept else 'what is made now'}"
        for key in kept.keys() & part.keys():
            yield from unlike(kept[key], part[key], f"{place}.{key}")
    elif isinstance(kept, list) and isinstance(part, list):
        for one, other in list(zip(kept, part, strict=False))[:1]:
            yield from unlike(one, other, f"{place}[0]")
    elif _kind(kept) != _kind(part):
        yield f"{place} is {_kind(kept)}, now {_kind(part)}"


def _kind(value: Any) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return "a number" if number else type(value).__name__


def _found(name: str) -> dict[str, Any] | None:
    path = FOLDER / name
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {**found, "made_of": str(found["made_of"]), "message": {**found["message"]}}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as damage:
        problems[name] = "The earlier result could not be read; press Run."
        log.warning("%s could not be read (%s: %s)", path, type(damage).__name__, damage)
        return None
