"""`labels.csv`: which class each picture shows, by its index or by its name."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Sequence
from typing import NamedTuple

from engine.core.errors import EngineError
from engine.data.decode import brief
from engine.data.labels import folded, spellings

NAME = "labels.csv"
LAYOUT = (
    "Give one sub-folder of pictures per class, or a labels.csv with columns file, class_index."
)


class BadFolder(EngineError):
    """A folder or an archive of pictures cannot be read as a labelled set."""


class Row(NamedTuple):
    """A picture's path relative to its table, and the index of its class."""

    file: str
    label: int


def read_table(content: bytes, name: str, classes: Sequence[str]) -> tuple[Row, ...]:
    """The rows of a table with the columns `file` and `class_index`; others are ignored.

    In place of `class_index` it may have `class`: names, as `spellings` knows them. The text is
    UTF-8, or UTF-16 with its byte order mark. Raises BadFolder, which says what is wrong where.
    """
    lines = csv.reader(io.StringIO(_text(content, name), newline=""))
    hint = "Save it as CSV without line breaks inside fields."
    try:
        header = next(lines, [])
        column = "class" if "class" in header and "class_index" not in header else "class_index"
        missing = [each for each in ("file", column) if each not in header]
        if missing:
            raise BadFolder(f"{name} has no column {quoted(missing)}.", LAYOUT)
        file, label = header.index("file"), header.index(column)
        if column == "class":
            known, hint = spellings(classes), f"The model knows {quoted(classes)}."
            return tuple(Row(row[file], known[folded(row[label])]) for row in lines if row)
        hint = f"class_index must be a whole number from 0 to {len(classes) - 1}."
        return tuple(Row(row[file], _index(row[label], len(classes))) for row in lines if row)
    except (csv.Error, LookupError, ValueError) as cause:
        raise BadFolder(
            f"{name}, line {lines.line_num}, does not name a file and a class of this model.", hint
        ) from cause


def refuse_absent(files: Sequence[str], table: str) -> None:
    """Raise BadFolder where a table names files that are not there."""
    if files:
        raise BadFolder(
            f"{table} names files that are not there ({len(files)}): {quoted(files)}.",
            f"File names are relative to the folder of {NAME}.",
        )


def quoted(names: Sequence[str]) -> str:
    """The first five names, and how many more there are."""
    shown = ", ".join(f"“{brief(name)}”" for name in names[:5])
    return shown + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _text(content: bytes, name: str) -> str:
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as cause:
        raise BadFolder(f"{name} is not written in UTF-8.", "Save it as CSV in UTF-8.") from cause
    if "\0" in text:
        raise BadFolder(f"{name} is not a table of text.", "Save it as CSV in UTF-8.")
    return text


def _index(text: str, classes: int) -> int:
    label = int(text)
    if not 0 <= label < classes:
        raise ValueError(text)
    return label
