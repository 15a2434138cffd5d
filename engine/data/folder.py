"""A visitor's own pictures on disk: one sub-folder per class, or a `labels.csv`."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import islice, zip_longest
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from engine.core.errors import EngineError
from engine.data.decode import decode, fit
from engine.data.labels import folded, spellings

_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".avif"}
_LAYOUT = (
    "Give one sub-folder of pictures per class, or a labels.csv with columns file, class_index."
)


class BadFolder(EngineError):
    """A folder of pictures cannot be read as a labelled set."""


class Item(NamedTuple):
    """One picture on disk and the index of its class."""

    path: Path
    label: int


class Batch(NamedTuple):
    """Pictures uint8 `(b, 3, y, x)` and class indices int64 `(b,)`."""

    images: Tensor
    labels: Tensor


def read_folder(
    folder: Path, class_names: Sequence[str], limit: int | None = None, seed: int = 0
) -> tuple[Item, ...]:
    """The labelled pictures of a folder, in an order that is even over the classes.

    Each class is shuffled by `seed` and the classes are then dealt in turn, so that any first
    `limit` pictures are balanced, and a smaller limit's choice is the beginning of a larger one's.
    `labels.csv` (columns `file`, `class_index`; others are ignored), where present, wins over
    sub-folders. A sub-folder is matched to a class whatever its case, spaces, underscores and
    hyphens, and by ImageNet's WordNet id and synonyms.

    Raises `BadFolder`: no folder, nothing in it, unknown class names, a missing file, an index out
    of range.
    """
    if not folder.is_dir():
        raise BadFolder(f"There is no folder {folder}.", _LAYOUT)
    table = folder / "labels.csv"
    if table.is_file():
        items = _from_table(table, len(class_names))
    else:
        items = _from_folders(folder, class_names)
    if not items:
        raise BadFolder(f"There is no picture in {folder}.", _LAYOUT)
    return tuple(islice(_dealt(items, seed), limit))


def batches(items: Sequence[Item], size: int, crop: float, batch: int) -> Iterator[Batch]:
    """The pictures, decoded and fitted to the model's input, `batch` at a time.

    Raises `BadImage`, naming the file, at the first picture that cannot be read.
    """
    for start in range(0, len(items), batch):
        chosen = items[start : start + batch]
        yield Batch(
            torch.stack([fit(decode(item.path), size, crop) for item in chosen]),
            torch.tensor([item.label for item in chosen]),
        )


def _from_folders(folder: Path, class_names: Sequence[str]) -> list[Item]:
    known = spellings(class_names)
    found = {
        child: sorted(file for file in child.iterdir() if file.suffix.lower() in _SUFFIXES)
        for child in sorted(folder.iterdir())
        if child.is_dir() and not child.name.startswith(".")
    }
    strangers = [child.name for child in found if folded(child.name) not in known]
    if strangers:
        raise BadFolder(
            f"The model has no class called {_few(strangers)}.",
            f"It knows {_few(class_names)}.",
        )
    return [
        Item(file, known[folded(child.name)]) for child, files in found.items() for file in files
    ]


def _from_table(table: Path, classes: int) -> list[Item]:
    with table.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        missing = [
            name for name in ("file", "class_index") if name not in (reader.fieldnames or ())
        ]
        if missing:
            raise BadFolder(f"{table} has no column {_few(missing)}.", _LAYOUT)
        items = [_from_row(table, row, reader.line_num, classes) for row in reader]
    absent = [item.path.name for item in items if not item.path.is_file()]
    if absent:
        raise BadFolder(
            f"{table} names files that are not there ({len(absent)}): {_few(absent)}.",
            "File names are relative to the folder of labels.csv.",
        )
    return items


def _from_row(table: Path, row: dict[str, str], line: int, classes: int) -> Item:
    try:
        label, file = int(row["class_index"]), table.parent / row["file"]
    except (TypeError, ValueError):  # a short row has None, a wrong one no number
        label, file = -1, table
    if not 0 <= label < classes:
        raise BadFolder(
            f"{table}, line {line}, does not name a file and a class of this model.",
            f"class_index must be a whole number from 0 to {classes - 1}.",
        )
    return Item(file, label)


def _dealt(items: Sequence[Item], seed: int) -> Iterator[Item]:
    """Shuffle within each class, then deal one of each class, again and again."""
    generator = torch.Generator().manual_seed(seed)
    by_class: dict[int, list[Item]] = {}
    for item in items:
        by_class.setdefault(item.label, []).append(item)
    hands: list[list[Item]] = []
    for label in sorted(by_class):
        hand = by_class[label]
        order: list[int] = torch.randperm(len(hand), generator=generator).tolist()
        hands.append([hand[place] for place in order])
    turns: list[int] = torch.randperm(len(hands), generator=generator).tolist()
    for deal in zip_longest(*(hands[turn] for turn in turns)):
        yield from (item for item in deal if item is not None)


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(f"“{name}”" for name in names[:5])
    return shown + (f" and {len(names) - 5} more" if len(names) > 5 else "")
