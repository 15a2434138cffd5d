"""Pictures with their classes: the bundled samples, or uploads labelled by folder or file name."""

from __future__ import annotations

import re
import shutil
import tempfile
import weakref
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, NamedTuple

from demo import pictures
from engine.core.errors import BadImage, BadTask
from engine.data.decode import decode
from engine.data.labels import folded, spellings
from engine.data.render.scenes import PICTURES
from engine.evaluate.transfer import Picture

MOST_PICTURES = 64
MOST_BYTES = 24 << 20  # of one unpacked picture
SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".avif"}
HOW = "Begin the file's name with its class, as in golf_ball_1.jpg, or zip one folder per class."
# What broken, locked and exotic archives make zipfile raise.
_BROKEN = (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError, OSError)


class Upload(NamedTuple):
    """A file that a visitor brought: where it lies, and what they call it."""

    path: Path
    name: str


class Folder:
    """A temporary folder that goes when nobody needs it any more."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="lab-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


@dataclass(frozen=True)
class Labelled:
    """Pictures with their classes; `brought` is how many there were to choose from.

    `unpacked` holds what came out of archives as long as this value lives.
    """

    pictures: tuple[Picture, ...]
    brought: int
    bundled: bool = False
    unpacked: Folder | None = None

    @property
    def words(self) -> str:
        count, classes = len(self.pictures), len({each.label for each in self.pictures})
        whose = "bundled sample" if self.bundled else "picture"
        return (
            f"{count} {whose}{'s' * (count != 1)} of {classes} class{'es' * (classes != 1)}"
            + f", taken evenly from {self.brought}" * (self.brought > count)
        )


class _Found(NamedTuple):
    """A picture not yet opened: its name with folders, and the archive it is in, if it is."""

    name: PurePath
    path: Path
    member: zipfile.ZipInfo | None = None


def samples() -> Labelled:
    """The bundled samples whose class is known."""
    labels = {each.id: each.label for each in PICTURES}
    found = tuple(
        Picture(each.path, labels[each.id]) for each in pictures.listed() if each.id in labels
    )
    return Labelled(found, len(found), bundled=True)


def uploads(data: Any) -> tuple[Upload, ...]:
    """The files as the browser or a client reported them; raises BadImage where one is none."""
    return tuple(
        Upload(Path(path), str(each.get("orig_name") or Path(path).name))
        for each in data or ()
        for path in (pictures.uploaded(each),)
    )


def read(files: Sequence[Upload], classes: Sequence[str]) -> Labelled:
    """The pictures among the files and in zip archives, at most `MOST_PICTURES`, evenly by class.

    A class is named by the innermost folder that has a class's name, else by how the file's name
    begins, in any spelling `spellings` knows. Raises BadImage and BadTask in one sentence: nothing
    there, an archive that cannot be read, a name that says no class.
    """
    found = [each for file in files for each in _inside(file)]
    if not found:
        raise BadTask("There are no pictures in what was uploaded.", HOW)
    known = spellings(classes)
    by_class: dict[int, list[_Found]] = {}
    for each in found:
        label = class_of(each.name, known)
        if label is None:
            raise BadTask(f"“{each.name}” does not say which class it shows.", _known(classes))
        by_class.setdefault(label, []).append(each)
    folder = Folder()
    deals = zip_longest(*([(label, each) for each in some] for label, some in by_class.items()))
    dealt = (one for deal in deals for one in deal if one is not None)
    chosen = tuple(
        Picture(_path(each, folder.path / str(index)), classes[label])
        for index, (label, each) in enumerate(islice(dealt, MOST_PICTURES))
    )
    return Labelled(chosen, len(found), unpacked=folder)


def given(files: Sequence[Upload], labels: Sequence[str]) -> Labelled:
    """The files with the classes that the caller names; raises BadTask where one lacks a label."""
    if len(labels) != len(files):
        raise BadTask(
            f"There are {len(files)} pictures and {len(labels)} labels.", "Give one label for each."
        )
    chosen = tuple(
        Picture(file.path, str(label)) for file, label in zip(files, labels, strict=True)
    )
    return Labelled(chosen[:MOST_PICTURES], len(chosen))


def refuse_rest(labelled: Labelled) -> None:
    """Raise BadTask where there was more than can be taken."""
    if labelled.brought > len(labelled.pictures):
        raise BadTask(
            f"There are {labelled.brought} pictures; at most {MOST_PICTURES} are measured here.",
            "The command line measures any number: python -m engine evaluate.",
        )


def check(labelled: Labelled) -> None:
    """Decode every picture once, so that a broken one is told of now; raises BadImage."""
    for each in labelled.pictures:
        decode(each.image)


def class_of(name: PurePath, known: Mapping[str, int]) -> int | None:
    """The class that a picture's folders name, or its file name begins with, word by word."""
    for folder in reversed(name.parts[:-1]):
        if folded(folder) in known:
            return known[folded(folder)]
    words = re.findall(r"[^\W\d_]+|\d+", name.stem)
    starts = (folded("".join(words[:count])) for count in range(len(words), 0, -1))
    return next((known[start] for start in starts if start in known), None)


def _inside(file: Upload) -> Iterator[_Found]:
    if PurePath(file.name).suffix.lower() != ".zip":
        yield _Found(PurePath(file.name), file.path)
        return
    try:
        with zipfile.ZipFile(file.path) as archive:
            members = archive.infolist()
    except _BROKEN as cause:
        raise BadImage(
            f"“{file.name}” is not a zip archive that can be read.", "Zip the folder again."
        ) from cause
    for each in sorted(members, key=lambda member: member.filename):
        name = PurePosixPath(each.filename)
        hidden = any(part.startswith((".", "__MACOSX")) for part in name.parts)
        if name.suffix.lower() in SUFFIXES and not each.is_dir() and not hidden:
            yield _Found(name, file.path, each)


def _path(found: _Found, folder: Path) -> Path:
    """Where the picture lies on disk; a member of an archive is unpacked into the folder."""
    if found.member is None:
        return found.path
    try:
        with zipfile.ZipFile(found.path) as archive, archive.open(found.member) as stream:
            content = stream.read(MOST_BYTES + 1)
    except _BROKEN as cause:
        raise BadImage(
            f"“{found.name}” in the archive is damaged or locked.", "Zip the folder again."
        ) from cause
    if len(content) > MOST_BYTES:
        raise BadImage(f"“{found.name}” is larger than {MOST_BYTES >> 20} MB.", "Make it smaller.")
    folder.mkdir()
    path = folder / found.name.name[-80:]
    path.write_bytes(content)
    return path


def _known(classes: Sequence[str]) -> str:
    few = ", ".join(sorted(classes, key=str.casefold)[:12])
    return f"{HOW} Known classes: {few}{', ...' * (len(classes) > 12)}."
