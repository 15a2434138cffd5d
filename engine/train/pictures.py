"""Pictures to train on: a folder with train/ and val/, one sub-folder per class; or any folder of pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from engine.core.errors import EngineError
from engine.data.decode import SUFFIXES, decode, fit
from engine.data.folder import read_folder
from engine.data.table import BadFolder

_LAYOUT = "Give a folder that holds train/CLASS/*.jpg and val/CLASS/*.jpg."


class BadDataset(EngineError):
    """A folder cannot be trained on: a split is missing, or the two splits disagree."""


class Pictures(NamedTuple):
    """One split, decoded once: images uint8 `(n, 3, y, x)` and class indices int64 `(n,)`."""

    images: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> Pictures:
        return Pictures(self.images.to(device), self.labels.to(device))

    def first(self, count: int | None) -> Pictures:
        """The first `count` pictures, all of them for None; a split read here is even over classes."""
        return Pictures(self.images[:count], self.labels[:count])


class Dataset(NamedTuple):
    """Both splits, the folder they come from and their class names; a class's index is its place in the sorted names."""

    name: str
    classes: tuple[str, ...]
    train: Pictures
    val: Pictures


def read_dataset(folder: Path, size: int) -> Dataset:
    """Decode every picture of both splits to `size` x `size` pixels (centre square).

    Raises BadDataset if a split is missing or the splits name different classes, BadFolder if a
    split holds no pictures, BadImage at the first picture that cannot be read.
    """
    classes = _class_names(folder, "train")
    if classes != _class_names(folder, "val"):
        raise BadDataset(f"train/ and val/ of {folder} hold different classes.", _LAYOUT)
    if len(classes) < 2:
        raise BadDataset(f"{folder}/train holds {len(classes)} class; two are the least.", _LAYOUT)
    return Dataset(
        folder.resolve().name,
        classes,
        _read_split(folder / "train", classes, size),
        _read_split(folder / "val", classes, size),
    )


def read_any(folder: Path, size: int, limit: int | None = None, skip: int = 0) -> Tensor:
    """`limit` pictures from anywhere below a folder, labelled or not: uint8 `(n, 3, size, size)`.

    They stand in the order of their paths' hashes, so that the first ones are of all sub-folders and
    `skip` gives other pictures than a run before took. Raises BadFolder where there are none, BadImage.
    """

    def place(path: Path) -> bytes:
        return hashlib.sha256(path.relative_to(folder).as_posix().encode()).digest()

    files = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    chosen = sorted(files, key=place)[skip:][:limit]
    if not chosen:
        after = f" after the first {skip}" if skip else ""
        raise BadFolder(f"There is no picture in {folder}{after}.", "Give a folder of pictures.")
    return _decoded(chosen, size)


def _class_names(folder: Path, split: str) -> tuple[str, ...]:
    if not (folder / split).is_dir():
        raise BadDataset(f"There is no folder {folder / split}.", _LAYOUT)
    children = (folder / split).iterdir()
    return tuple(sorted(c.name for c in children if c.is_dir() and not c.name.startswith(".")))


def _read_split(folder: Path, classes: tuple[str, ...], size: int) -> Pictures:
    items = read_folder(folder, classes)
    labels = torch.tensor([item.label for item in items])
    return Pictures(_decoded([item.path for item in items], size), labels)


def _decoded(paths: Sequence[Path], size: int) -> Tensor:
    with ThreadPoolExecutor() as pool:  # Pillow decodes outside the interpreter's lock
        return torch.stack(list(pool.map(lambda path: fit(decode(path), size), paths)))
