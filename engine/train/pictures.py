"""The training set: a folder with train/ and val/, one sub-folder of pictures per class."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from engine.core.errors import EngineError
from engine.data.decode import decode, fit
from engine.data.folder import read_folder

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


def _class_names(folder: Path, split: str) -> tuple[str, ...]:
    if not (folder / split).is_dir():
        raise BadDataset(f"There is no folder {folder / split}.", _LAYOUT)
    children = (folder / split).iterdir()
    return tuple(sorted(c.name for c in children if c.is_dir() and not c.name.startswith(".")))


def _read_split(folder: Path, classes: tuple[str, ...], size: int) -> Pictures:
    items = read_folder(folder, classes)
    with ThreadPoolExecutor() as pool:  # Pillow decodes outside the interpreter's lock
        images = list(pool.map(lambda item: fit(decode(item.path), size), items))
    return Pictures(torch.stack(images), torch.tensor([item.label for item in items]))
