"""What was measured once and is kept: one file for each paper (or part of one) and each model.

`python -m engine claims PAPER FOLDER --model NAME --out FILE.json` writes one; a page, the results
and the next session read it. A file that is cut, or whose figures are no figures, is refused whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Generic, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from engine.core.assets import ASSETS
from engine.core.errors import CorruptWeights
from engine.evaluate.claim import Row

SCHEMA = "vit-adversarial-lab/study/1"
STUDIES = ASSETS / "studies"
F = TypeVar("F")


@dataclass(frozen=True)
class Study(Generic[F]):
    """The claims of `name` measured on `model`, and what else was found, as that paper's own value.

    `weights` are the SHA-256 of the models that took part, where their cards have one; `about` says
    what it was measured on and how, as plain data.
    """

    name: str
    model: str
    weights: Mapping[str, str]
    about: Mapping[str, Any]
    claims: tuple[Row, ...]
    findings: F


def data(study: Study[Any]) -> dict[str, Any]:
    """The study as plain data, versioned."""
    return {"schema": SCHEMA, "intervals": "95 %", **asdict(study)}


def kept(name: str, model: str, findings: type[F], folder: Path = STUDIES) -> Study[F] | None:
    """The study of that name and model, if there is one; raises CorruptWeights as `read`."""
    path = folder / f"{name}_{model}.json"
    return read(path, findings) if path.is_file() else None


def read(path: Path, findings: type[F]) -> Study[F]:
    """A written study; raises CorruptWeights where the file is something else."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["schema"] != SCHEMA:
            raise ValueError(found["schema"])
        return Study(
            _as(str, found["name"]),
            _as(str, found["model"]),
            _as(dict[str, Any], found["weights"]),
            _as(dict[str, Any], found["about"]),
            _as(tuple[Row, ...], found["claims"]),
            _as(findings, found["findings"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CorruptWeights(f"{path.name} holds no study.") from error


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _as(kind: Any, value: Any) -> Any:
    """Plain data as a value of that type; raises ValueError, KeyError or TypeError if it is not."""
    origin, inner = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        hints = _hints(kind)
        made: Any = kind
        return made(**{each.name: _as(hints[each.name], value[each.name]) for each in fields(kind)})
    if origin in (Union, UnionType) and NoneType in inner:
        (other,) = (each for each in inner if each is not NoneType)
        return None if value is None else _as(other, value)
    if origin is tuple:
        return tuple(_as(inner[0], each) for each in _as(list, value))
    if kind is float and type(value) is int:
        return float(value)
    if kind is Any or (origin is Literal and value in inner) or type(value) is (origin or kind):
        return value
    raise ValueError(f"{value!r} is no {kind}")
