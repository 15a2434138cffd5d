"""All temporary files in one folder of ours, which is gone when its process is.

`TEMP/vit-lab-UID/PROCESS/` belongs to one process for as long as that holds a lock on `alive` in it;
what a process that was killed has left there is swept by the next one that starts.
"""

from __future__ import annotations

import atexit
import errno
import os
import shutil
import stat
import tempfile
import time
import weakref
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO

from engine.core.errors import EngineError

MOST_BYTES = 2 << 30
ALIVE = "alive"
_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


class NoRoom(EngineError):
    """The disk, or this application's share of it, is full."""

    def __init__(self) -> None:
        super().__init__("There is no room for more files here just now.", "Try again later.")


class Folder:
    """A temporary folder that goes with its last holder, or at once by `remove`."""

    def __init__(self) -> None:
        home().mkdir(parents=True, exist_ok=True)  # a machine's own sweeper may have been here
        self.path = Path(tempfile.mkdtemp(dir=home()))
        self.remove = weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def folder() -> Folder:
    """A new temporary folder of this process; raises NoRoom."""
    with room():
        return Folder()


@contextmanager
def room(size: int = 0) -> Generator[None]:
    """Write `size` bytes in here; raises NoRoom, beforehand or where the disk is full after all."""
    if used() + size > MOST_BYTES:
        raise NoRoom
    try:
        yield
    except OSError as cause:
        if cause.errno in _FULL:
            raise NoRoom from cause
        raise


def used() -> int:
    """Bytes of this process's temporary files."""
    return sum(_size(Path(parent, name)) for parent, _, names in os.walk(home()) for name in names)


@cache
def home() -> Path:
    """This process's folder for all that is temporary, made at the first call."""
    made = Path(tempfile.mkdtemp(dir=_root()))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    if (alive := _lock(made / ALIVE)) is not None:
        atexit.register(alive.close)
    return made


def sweep() -> None:
    """Remove what dead processes left."""
    for each in _root().iterdir():
        if _dead(each):
            shutil.rmtree(each, ignore_errors=True)


@cache
def _root() -> Path:
    """The folder of all our processes; one of our own where another user has one of that name."""
    root = Path(tempfile.gettempdir(), f"vit-lab-{_user()}")
    with suppress(FileExistsError):
        root.mkdir()
    found = root.lstat()
    if not stat.S_ISDIR(found.st_mode) or (os.name == "posix" and found.st_uid != _user()):
        return Path(tempfile.mkdtemp(prefix=f"{root.name}-"))
    root.chmod(0o700)
    return root


def _user() -> int:
    return os.getuid() if os.name == "posix" else 0


def _dead(folder: Path) -> bool:
    """Whether nobody holds the lock; a folder without one is just being made, or is long dead."""
    if not (folder / ALIVE).exists():
        return time.time() - folder.stat().st_mtime > 60
    found = _lock(folder / ALIVE)
    if found is None:
        return False
    found.close()
    return True


def _lock(path: Path) -> IO[bytes] | None:
    """The file, locked for as long as it is open; None where another has it."""
    stream = path.open("ab")
    try:
        if os.name == "posix":
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            import msvcrt

            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
    except OSError:
        stream.close()
        return None
    return stream


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:  # just deleted
        return 0
