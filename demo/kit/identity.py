"""What makes two computations the same: a digest of values with all that is in them, weights included."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from engine.alter.ensemble import members
from engine.evaluate.transfer import bare
from engine.model import hub, zoo

PLAIN = (bool, int, float, str, bytes, Path, type(None))


def digest(*values: Any) -> str:
    """SHA-256 of values with all that is in them: of a dataclass every field, of a picture every bit.

    Raises TypeError at what it does not know: nothing is left out unseen.
    """
    found = hashlib.sha256()
    for part in _parts(values):
        found.update(b"%d:" % len(part))
        found.update(part)
    return found.hexdigest()


def weights_of(models: Iterable[str], weights: Path | None) -> list[Any]:
    """Which weights the models of these names have, whatever they are altered by; raises UnknownName."""
    return [_weights(each, weights) for name in models for each in members(bare(name))]


def _weights(name: str, weights: Path | None) -> Any:
    """The hash on a model's card; without one, the file as it lies on this machine now."""
    card, folder = zoo.card(name, weights), zoo.weights_folder(weights)
    if card.sha256:
        return card.name, card.sha256
    if card.source == "local" and folder is not None:
        path = folder / f"{card.name}.safetensors"
    else:
        path = hub.cached(zoo.repository(card))
    if path is None:
        return card.name, "on the hub"
    found = path.stat()
    return card.name, path, found.st_size, found.st_mtime_ns


def _parts(value: Any) -> Iterator[bytes]:
    """A value as a sequence of bytes that no other value has."""
    yield f"{type(value).__module__}.{type(value).__qualname__}".encode()
    if isinstance(value, PLAIN):
        yield value if isinstance(value, bytes) else repr(value).encode()
    elif isinstance(value, Image.Image):
        yield f"{value.mode} {value.size}".encode()
        yield value.tobytes()
    elif is_dataclass(value):
        yield from _parts({each.name: getattr(value, each.name) for each in fields(value)})
    elif isinstance(value, Mapping):
        yield from _parts([*value.items()])
    elif isinstance(value, tuple | list):
        yield str(len(value)).encode()
        for each in value:
            yield from _parts(each)
    else:
        raise TypeError(f"{type(value)} has no digest.")
