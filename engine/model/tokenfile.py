"""Robustness tokens by name: what ships, and what lies in a folder of one's own.

A file NAME.safetensors holds {"rtokens": (1, n, d)}, as the published files do, and its card as JSON
in its header. A name is never a path, so that a page may pass on what a visitor types.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from engine.core.assets import ASSETS
from engine.core.errors import BadKnob, CorruptWeights, EngineError, TokensUnavailable
from engine.core.files import write_atomically
from engine.core.knobs import NAME
from engine.model.weightfile import fault

SHIPPED = ASSETS / "tokens"
FOLDER_VARIABLE = "LAB_TOKENS"
OWN, SURROGATE, RANDOM = "own", "surrogate", "random"
"""Words that stand for tokens, so that none are called so."""
KEY = "rtokens"
"""The tensor's name in a file, ours and the published ones."""
LAYOUT = "Tokens are a file of one tensor, rtokens, of 1 x count x width numbers."
MOST_TOKENS, MOST_WIDTH = 1000, 16384


@dataclass(frozen=True, eq=False)
class Tokens:
    """n tokens of d numbers (float32), the model that they were trained for ("" where nobody knows),
    and whatever else their card says."""

    values: Float[Tensor, "n d"]
    model: str = ""
    card: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Card:
    """What is known of a file of tokens without its numbers; `shipped` is what came with the Lab."""

    name: str
    model: str
    count: int
    width: int
    shipped: bool
    details: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)


def folder() -> Path:
    """Where tokens of one's own lie and are written to: LAB_TOKENS, else `runs/tokens`."""
    return Path(os.environ.get(FOLDER_VARIABLE) or Path("runs", "tokens"))


def called(file: str, model: str) -> str:
    """The name that "own", "surrogate" or any other name stands for on a model."""
    return {OWN: model, SURROGATE: f"{model}_{SURROGATE}"}.get(file, file)


def find(file: str, model: str) -> Tokens:
    """A model's own tokens, the surrogate's, or those of any other name.

    Raises TokensUnavailable where they are not here, BadKnob where that is no name, CorruptWeights.
    """
    name = called(file, model)
    try:
        return read(name)
    except (TokensUnavailable, BadKnob) as error:
        if name == file:
            raise
        whose = "surrogate tokens" if file == SURROGATE else "Robustness Tokens"
        named = f" --name {name}" if file == SURROGATE else ""
        raise TokensUnavailable(
            f"There are no {whose} for {model} here.",
            f"Choose random ones, or train some: python -m engine tokens train FOLDER --model {model}{named}",
        ) from error


def read(name: str) -> Tokens:
    """The tokens of that name: those that ship, else those of the folder.

    Raises BadKnob where that is no name, TokensUnavailable where there are none, CorruptWeights
    where the file is damaged or holds anything else.
    """
    return opened(place(name))


def place(name: str) -> Path:
    """The file of that name; raises BadKnob where that is no name, TokensUnavailable."""
    file = file_name(name)
    found = next((each / file for each in (SHIPPED, folder()) if (each / file).is_file()), None)
    if found is None:
        raise TokensUnavailable(
            f"There are no Robustness Tokens called “{name}” here.",
            f"Known: {', '.join(each.name for each in listed()[:12]) or 'none'}.",
        )
    return found


def state(file: str, model: str) -> tuple[str, int, int] | None:
    """What tells that the tokens of that name are others than they were; None where there are none."""
    try:
        path = place(called(file, model))
        now = path.stat()
    except (TokensUnavailable, BadKnob, OSError):
        return None
    return str(path), now.st_size, now.st_mtime_ns


def opened(path: Path) -> Tokens:
    """The tokens of a file; raises CorruptWeights."""
    if wrong := fault(path):
        raise CorruptWeights(f"{path.name} {wrong}.", "Train or import it again.")
    try:
        with safe_open(path, "pt") as file:
            if set(file.keys()) != {KEY}:
                raise CorruptWeights(f"{path.name} holds other things than tokens.", LAYOUT)
            shape: list[int] = file.get_slice(KEY).get_shape()
            check_shape(shape, path.name)
            values: Tensor = file.get_tensor(KEY)
            told: Mapping[str, str] = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise CorruptWeights(f"{path.name} cannot be read.", "Train or import it again.") from error
    return Tokens(checked(values, path.name), told.get("model", ""), _details(told, path.name))


def checked(values: Tensor, name: str) -> Float[Tensor, "n d"]:
    """(1, n, d) as n tokens in float32; raises CorruptWeights where they can be no tokens."""
    check_shape(list(values.shape), name)
    plain = values.layout is torch.strided and values.device.type == "cpu"
    if not plain or not values.is_floating_point() or not bool(values.isfinite().all()):
        raise CorruptWeights(f"{name} holds tokens that are no finite numbers.", LAYOUT)
    return values[0].detach().float().clone()


def check_shape(shape: list[int], name: str) -> None:
    """Raise CorruptWeights for another shape than (1, n, d), or an unreasonable one."""
    few = len(shape) == 3 and shape[0] == 1
    if not few or not (1 <= shape[1] <= MOST_TOKENS and 1 <= shape[2] <= MOST_WIDTH):
        told = " x ".join(map(str, shape)) or "a single number"
        raise CorruptWeights(f"{name} holds no tokens: its shape is {told}.", LAYOUT)


def write(tokens: Tokens, folder: Path, name: str) -> Path:
    """Write NAME.safetensors into a folder, entire or not at all; raises BadKnob, CorruptWeights."""
    path = folder / file_name(name)
    values = tokens.values.detach().float().cpu()[None].contiguous()
    checked(values, path.name)
    about = {"model": tokens.model, "card": json.dumps(dict(tokens.card))}
    write_atomically(path, save({KEY: values}, about))
    return path


def listed(model: str | None = None) -> tuple[Card, ...]:
    """All tokens that can be read here, or those for one model; what ships comes first."""
    cards = (each for each in _looked() if isinstance(each, Card))
    return tuple(each for each in cards if model is None or each.model == model)


def problems() -> tuple[str, ...]:
    """One sentence for each file that is left out of `listed`."""
    return tuple(each for each in _looked() if isinstance(each, str))


def card(path: Path) -> Card:
    """What there is to know of a file; raises CorruptWeights."""
    found = opened(path)
    count, width = found.values.shape
    return Card(path.stem, found.model, count, width, path.parent == SHIPPED, found.card)


def _looked() -> Iterator[Card | str]:
    seen = set[str]()
    for where in (SHIPPED, folder()):
        for path in sorted(where.glob("*.safetensors")):
            if path.stem in seen:  # what ships is found first
                continue
            seen.add(path.stem)
            try:
                file_name(path.stem)
                yield card(path)
            except EngineError as error:
                yield f"{path.name} is left out: {error.sentence}"


def file_name(name: str) -> str:
    """The file of tokens of that name; raises BadKnob where it can be none."""
    if not re.fullmatch(NAME, name) or name in (OWN, SURROGATE, RANDOM):
        raise BadKnob(
            "The name of tokens",
            f"“{name[:60]}”",
            "letters, digits and . _ -, and not own, surrogate or random",
        )
    return f"{name}.safetensors"


def _details(told: Mapping[str, str], name: str) -> Mapping[str, Any]:
    try:
        found = json.loads(told.get("card", "{}"))
    except ValueError as error:
        raise CorruptWeights(f"The card of {name} is damaged.", "Train it again.") from error
    if not isinstance(found, dict):
        raise CorruptWeights(f"The card of {name} is damaged.", "Train it again.")
    return found
