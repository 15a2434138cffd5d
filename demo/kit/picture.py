"""The one door for pictures: whatever a visitor brings becomes a checked `Picture`, or a sentence."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from gradio.utils import get_upload_folder
from PIL import Image

from engine.core.errors import BadImage
from engine.data import quarantine
from engine.data.decode import decode
from engine.data.labels import folded, spellings
from engine.data.samples import Sample, load_sample, samples
from engine.model import zoo

SAMPLE = "sample:"
MOST_LETTERS = 40  # of a picture's name in a file's


@dataclass(frozen=True)
class Picture:
    """A decoded picture, and what it is called in words (`title`) and among files (`name`).

    `source` is `sample:ID` or the path of an upload; `label` is the class that a sample shows, None
    where nobody has said.
    """

    source: str
    image: Image.Image
    name: str
    title: str
    label: str | None = None

    @classmethod
    def of(cls, source: Any) -> Picture:
        """The picture behind a source as a browser gives it; raises BadImage, UnknownName.

        What is no upload is not opened, and an upload is decoded in quarantine first.
        """
        source = source if isinstance(source, str) else ""
        found = sample(source)
        label = None if found is None else found.label
        return cls(source, _read(source), name_of(source), title_of(source), label)

    def shows(self, model: str, weights: Path | None) -> int | None:
        """The model's class for what the picture is known to show; None where there is none."""
        names = zoo.class_names(zoo.card(model, weights))
        return _spelt(names).get(folded(self.label)) if self.label else None

    @property
    def stem(self) -> str:
        """What it is called inside the name of a file."""
        return stem_of(self.source)


class Upload(NamedTuple):
    """A file that a visitor brought: where it lies, and what they call it."""

    path: Path
    name: str


def uploads(data: Any) -> tuple[Upload, ...]:
    """The files as the browser or a client reported them; raises BadImage where one is none.

    Gradio vets the paths that are marked as files, but a request made by hand need not mark them.
    """
    if not isinstance(data or [], list):
        raise BadImage("This is not a list of pictures.", "Upload them first.")
    return tuple(_upload(each) for each in data or ())


def uploaded(data: Any) -> str:
    """The source of a single upload; raises BadImage."""
    return str(_upload(data).path)


def check(paths: Sequence[Path]) -> None:
    """Raise BadImage at the first that cannot be decoded, or not in a reasonable time."""
    quarantine.inspect(list(paths))


def listed() -> tuple[Sample, ...]:
    """The samples whose files are there."""
    return tuple(each for each in samples() if each.path.is_file())


def first() -> str:
    """The source of the first sample; empty where there is none."""
    return SAMPLE + listed()[0].id if listed() else ""


def sample(source: str) -> Sample | None:
    """The sample behind a source; None for a picture of the visitor's own."""
    return {SAMPLE + each.id: each for each in listed()}.get(source)


def title_of(source: str) -> str:
    """What a picture is called in words: the sample's title, or the name of the file."""
    found = sample(source)
    return found.title if found else Path(source).name


def name_of(source: str) -> str:
    """A sample's id, or the name of the file that was uploaded."""
    return source.removeprefix(SAMPLE) if source.startswith(SAMPLE) else Path(source).name


def stem_of(source: str) -> str:
    """What a picture is called inside file names: its sample's id, or the stem of the upload's."""
    stem = source.removeprefix(SAMPLE) if source.startswith(SAMPLE) else Path(source).stem
    return re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-")[:MOST_LETTERS] or "picture"


def stranger(source: str, model: str, weights: Path | None) -> str:
    """What the picture shows, where the model is known to have no class for it; else nothing."""
    found = sample(source)
    if found is None:
        return ""
    names = _spelt(zoo.class_names(zoo.card(model, weights)))
    return "" if found.label is not None and folded(found.label) in names else found.title


@cache
def _spelt(classes: tuple[str, ...]) -> Any:
    return spellings(classes)


def _read(source: str) -> Image.Image:
    if not source:
        raise BadImage("There is no picture.", "Choose one of the samples or bring your own.")
    if source.startswith(SAMPLE):
        return load_sample(source.removeprefix(SAMPLE))
    path = _vetted(source)
    if not os.path.isfile(path):
        raise BadImage("The uploaded picture is no longer here.", "Upload it again.")
    check([path])
    return decode(path)


def _upload(data: Any) -> Upload:
    path = _vetted(data.get("path") if isinstance(data, dict) else None)
    return Upload(path, str(data.get("orig_name") or path.name))


def _vetted(path: Any) -> Path:
    """The path of an upload, wherever it is said to lie; raises BadImage where it is none."""
    if not isinstance(path, str) or not path:
        raise BadImage("There is no picture.", "Choose one of the samples or upload one.")
    try:
        real = Path(path).resolve()
        inside = real.is_relative_to(Path(get_upload_folder()).resolve())
    except (OSError, ValueError):  # a name of NULs, or longer than any file's
        inside = False
    if not inside:
        raise BadImage("This picture was not uploaded.", "Upload it first.")
    return Path(path)
