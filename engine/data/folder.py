"""A visitor's own pictures on disk: one sub-folder per class, or a `labels.csv`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import islice, zip_longest
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from engine.data.decode import SUFFIXES, decode, fit
from engine.data.labels import folded, spellings
from engine.data.table import LAYOUT, NAME, BadFolder, quoted, read_table, refuse_absent


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
    A `labels.csv` as `read_table` reads it, where present, wins over sub-folders. A sub-folder is matched to a class whatever its case, spaces, underscores and
    hyphens, and by ImageNet's WordNet id and synonyms.

    Raises `BadFolder`: no folder, nothing in it, unknown class names, a missing file, an index out
    of range.
    """
    if not folder.is_dir():
        raise BadFolder(f"There is no folder {folder}.", LAYOUT)
    table = folder / NAME
    if table.is_file():
        items = _from_table(table, class_names)
    else:
        items = _from_folders(folder, class_names)
    if not items:
        raise BadFolder(f"There is no picture in {folder}.", LAYOUT)
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
        child: sorted(file for file in child.iterdir() if file.suffix.lower() in SUFFIXES)
        for child in sorted(folder.iterdir())
        if child.is_dir() and not child.name.startswith(".")
    }
    strangers = [child.name for child in found if folded(child.name) not in known]
    if strangers:
        raise BadFolder(
            f"The model has no class called {quoted(strangers)}.",
            f"It knows {quoted(class_names)}.",
        )
    return [
        Item(file, known[folded(child.name)]) for child, files in found.items() for file in files
    ]


def _from_table(table: Path, class_names: Sequence[str]) -> list[Item]:
    rows = read_table(table.read_bytes(), str(table), class_names)
    refuse_absent(
        [row.file for row in rows if not os.path.isfile(table.parent / row.file)], str(table)
    )
    return [Item(table.parent / row.file, row.label) for row in rows]


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
