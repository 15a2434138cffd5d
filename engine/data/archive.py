"""A visitor's zip archive: judged by its directory before anything in it is unpacked."""

from __future__ import annotations

import os
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from io import FileIO
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from engine.core.errors import BadImage
from engine.data.decode import brief
from engine.data.table import BadFolder

MOST_MEMBERS = 10_000
MOST_DIRECTORY = 4 << 20  # bytes: `MOST_MEMBERS` with names of 370
MOST_BYTES = 24 << 20  # of one unpacked file
MOST_UNPACKED = 64 << 20  # bytes of all that are unpacked together
# LZMA and bzip2 unpack a kilobyte to a gigabyte in one call, whatever the directory says.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED, _UTF8 = 0x1, 0x800  # bits of an entry's flags
# What broken, locked and exotic archives make zipfile raise.
_BROKEN = (zipfile.BadZipFile, zlib.error, RuntimeError, ValueError, EOFError, OSError)


class Member(NamedTuple):
    """A file in an archive, not yet unpacked; `called` is what its visitor calls the archive."""

    name: PurePosixPath
    archive: Path
    called: str
    info: zipfile.ZipInfo

    def __str__(self) -> str:
        return f"“{brief(str(self.name))}” in “{brief(self.called)}”"


def members(archive: Path, called: str) -> tuple[Member, ...]:
    """The files of an archive in the order of their names, from its directory alone.

    Raises BadFolder: not an archive, a damaged directory, more than `MOST_MEMBERS` entries.
    """
    try:
        with _Directory(archive) as stream, zipfile.ZipFile(stream) as opened:
            infos = opened.infolist()
    except _BROKEN as cause:
        raise BadFolder(
            f"“{brief(called)}” is not a zip archive that can be read.", "Zip the folder again."
        ) from cause
    if len(infos) > MOST_MEMBERS:
        raise BadFolder(
            f"“{brief(called)}” holds {len(infos):,} files; the limit is {MOST_MEMBERS:,}.",
            "Zip fewer pictures.",
        )
    files = (info for info in infos if not info.is_dir())
    found = (Member(PurePosixPath(_name(info)), archive, called, info) for info in files)
    return tuple(sorted(found, key=lambda member: member.name))


def contents(chosen: Sequence[Member], most: int = MOST_BYTES) -> Iterator[bytes]:
    """What the files hold, one after the other; all are judged before the first is unpacked.

    Raises BadImage: damaged, locked, packed by a rare method, more than `most` bytes in one or
    `MOST_UNPACKED` in all.
    """
    _judge(chosen, most)
    with ExitStack() as stack:
        opened: dict[Path, zipfile.ZipFile] = {}
        for each in chosen:
            try:
                if each.archive not in opened:
                    opened[each.archive] = stack.enter_context(zipfile.ZipFile(each.archive))
                with opened[each.archive].open(each.info) as stream:
                    # Not `read()`: that unpacks first and looks at the promised size afterwards.
                    found = stream.read(each.info.file_size)
            except _BROKEN as cause:
                raise BadImage(f"{each} is damaged.", "Zip the folder again.") from cause
            yield found


def safe_name(name: str) -> str:
    """The end of a stranger's name for a file, as any file system takes it."""
    plain = re.sub(r"[^\w.-]+", "_", name)
    return plain.encode(errors="ignore")[-100:].decode(errors="ignore")


class _Directory(FileIO):
    """An archive as far as its directory is read, which zipfile does in one go."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MOST_DIRECTORY:
            raise zipfile.BadZipFile("The directory is too large.")
        return super().read(size)


def _judge(chosen: Sequence[Member], most: int) -> None:
    for each in chosen:
        if each.info.flag_bits & _ENCRYPTED or each.info.compress_type not in _METHODS:
            raise BadImage(
                f"{each} is locked, or packed by a rare method.", "Zip the folder again."
            )
        if each.info.file_size > most:
            raise BadImage(f"{each} is larger than {most >> 20} MB.", "Make it smaller.")
    size = sum(each.info.file_size for each in chosen)
    if size > MOST_UNPACKED:
        raise BadImage(
            f"The pictures would unpack to {size >> 20} MB; the limit is {MOST_UNPACKED >> 20}.",
            "Make them smaller, or bring fewer.",
        )
    packed = Counter[Path]()
    for each in chosen:
        packed[each.archive] += each.info.compress_size
        if packed[each.archive] > os.path.getsize(each.archive):  # they lie over each other
            raise BadImage(f"{each} is damaged.", "Zip the folder again.")


def _name(info: zipfile.ZipInfo) -> str:
    """An entry's name: many archivers write UTF-8 without saying so, and zipfile reads cp437."""
    if info.flag_bits & _UTF8:
        return info.filename
    try:
        return info.filename.encode("cp437").decode()
    except UnicodeError:
        return info.filename
