"""Pictures with their classes: the bundled samples, or uploads labelled by a table, folder or name."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, zip_longest
from pathlib import Path, PurePath, PurePosixPath
from typing import NamedTuple

from demo.kit import picture, scratch
from demo.kit.picture import Upload
from demo.kit.scratch import Folder
from engine.core.errors import BadTask
from engine.data import archive, table
from engine.data.archive import Member
from engine.data.decode import SUFFIXES, brief
from engine.data.labels import folded, spellings
from engine.evaluate.transfer import Picture

MOST_PICTURES = 64
MOST_ARCHIVES = 8
MOST_TABLE = 2 << 20  # bytes of an archive's labels.csv
LONGEST = 200  # characters of a file's name in which a class is looked for
HOW = (
    "Begin the file's name with its class, as in golf_ball_1.jpg, or zip one folder per class, "
    "or pictures with a labels.csv."
)


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
    """A picture not yet opened, and the index of its class."""

    label: int
    source: Path | Member


def samples() -> Labelled:
    """The bundled samples whose class is known."""
    found = tuple(
        Picture(each.path, each.label)
        for each in picture.listed()
        if each.kind == "rendered" and each.label is not None
    )
    return Labelled(found, len(found), bundled=True)


def read(files: Sequence[Upload], classes: Sequence[str]) -> Labelled:
    """The pictures among the files and in zip archives, at most `MOST_PICTURES`, evenly by class.

    In an archive a `labels.csv` names pictures and classes as in a folder for `python -m engine
    evaluate`. Without one, and for single files, a class is named by the innermost folder that has
    a class's name, else by how the file's name begins, in any spelling `spellings` knows.
    Raises EngineError in one sentence, and then leaves nothing on disk: nothing there, an archive
    that cannot be read or is too large, a name that says no class, a picture that cannot be decoded.
    """
    if sum(map(_is_archive, files)) > MOST_ARCHIVES:
        raise BadTask(
            f"There are more than {MOST_ARCHIVES} archives.", "Zip the pictures into one."
        )
    found = tuple(each for file in files for each in _inside(file, classes))
    if not found:
        raise BadTask("There are no pictures in what was uploaded.", HOW)
    chosen = tuple(islice(_dealt(found), MOST_PICTURES))
    folder = scratch.folder()
    try:
        paths = _unpacked([each.source for each in chosen], folder.path)
        named = zip(paths, chosen, strict=True)
        shown = tuple(Picture(path, classes[each.label]) for path, each in named)
        labelled = Labelled(shown, len(found), unpacked=folder)
        _check(labelled)
    except BaseException:
        folder.remove()
        raise
    return labelled


def given(files: Sequence[Upload], labels: Sequence[str]) -> Labelled:
    """The files with the classes that the caller names; raises BadTask where one lacks a label, and
    BadImage where one cannot be decoded.
    """
    if len(labels) != len(files):
        raise BadTask(
            f"There are {len(files)} pictures and {len(labels)} labels.", "Give one label for each."
        )
    chosen = tuple(
        Picture(file.path, str(label)) for file, label in zip(files, labels, strict=True)
    )
    labelled = Labelled(chosen[:MOST_PICTURES], len(chosen))
    _check(labelled)
    return labelled


def refuse_rest(labelled: Labelled) -> None:
    """Raise BadTask where there was more than can be taken."""
    if labelled.brought > len(labelled.pictures):
        raise BadTask(
            f"There are {labelled.brought} pictures; at most {MOST_PICTURES} are measured here.",
            "The command line measures any number: python -m engine evaluate.",
        )


def _check(labelled: Labelled) -> None:
    """Raise BadImage at the first picture that cannot be decoded, or not in a reasonable time."""
    picture.check([each.image for each in labelled.pictures if isinstance(each.image, Path)])


def class_of(name: PurePath, known: Mapping[str, int]) -> int | None:
    """The class that a picture's folders name, or its file name begins with, word by word."""
    for folder in reversed(name.parts[:-1]):
        if folded(folder) in known:
            return known[folded(folder)]
    start, label = "", None
    for word in re.findall(r"[^\W\d_]+|\d+", name.stem[:LONGEST]):
        start += folded(word)
        label = known.get(start, label)
    return label


def _inside(file: Upload, classes: Sequence[str]) -> Iterator[_Found]:
    if not _is_archive(file):
        yield _Found(_class(PurePath(file.name), classes), file.path)
        return
    members = archive.members(file.path, file.name)
    tables = [each for each in members if each.name.name == table.NAME and not _hidden(each.name)]
    for each in tables:
        yield from _listed(each, members, classes)
    for each in () if tables else members:
        if each.name.suffix.lower() in SUFFIXES and not _hidden(each.name):
            yield _Found(_class(each.name, classes), each)


def _listed(listing: Member, members: Sequence[Member], classes: Sequence[str]) -> Iterator[_Found]:
    """The pictures that an archive's labels.csv names, by their paths from where it lies."""
    (content,) = archive.contents([listing], MOST_TABLE)
    rows = table.read_table(content, str(listing), classes)
    there = {posixpath.normpath(each.name): each for each in members}
    paths = [posixpath.normpath(listing.name.parent / row.file) for row in rows]
    pairs = list(zip(rows, paths, strict=True))
    table.refuse_absent([row.file for row, path in pairs if path not in there], str(listing))
    yield from (_Found(row.label, there[path]) for row, path in pairs)


def _is_archive(file: Upload) -> bool:
    return PurePath(file.name).suffix.lower() == ".zip"


def _hidden(name: PurePosixPath) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in name.parts)


def _class(name: PurePath, classes: Sequence[str]) -> int:
    label = class_of(name, _spellings(tuple(classes)))
    if label is None:
        raise BadTask(f"“{brief(str(name))}” does not say which class it shows.", _known(classes))
    return label


def _dealt(found: Sequence[_Found]) -> Iterator[_Found]:
    """One of each class, again and again."""
    by_class: dict[int, list[_Found]] = {}
    for each in found:
        by_class.setdefault(each.label, []).append(each)
    deals = zip_longest(*by_class.values())
    yield from (one for deal in deals for one in deal if one is not None)


def _unpacked(sources: Sequence[Path | Member], folder: Path) -> Iterator[Path]:
    """Where each picture lies on disk: members of archives are unpacked into the folder."""
    inside = [each for each in sources if isinstance(each, Member)]
    contents = archive.contents(inside)
    with scratch.room(sum(each.info.file_size for each in inside)):
        for index, each in enumerate(sources):
            if isinstance(each, Path):
                yield each
                continue
            path = folder / str(index) / archive.safe_name(each.name.name)
            path.parent.mkdir()
            path.write_bytes(next(contents))
            yield path


_spellings = lru_cache(maxsize=8)(spellings)


def _known(classes: Sequence[str]) -> str:
    few = ", ".join(sorted(classes, key=str.casefold)[:12])
    return f"{HOW} Known classes: {few}{', ...' * (len(classes) > 12)}."
