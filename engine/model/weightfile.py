"""A safetensors file, looked at before it is offered: what is wrong with it, in words."""

from __future__ import annotations

import functools
from pathlib import Path

from safetensors import SafetensorError, safe_open


def fault(path: Path) -> str:
    """What is wrong with a file, as a sentence goes on after its name ("is empty"); or nothing.

    Reads the header only, once for each state of the file; a pickle is never opened as one.
    """
    try:
        now = path.stat()
    except OSError:
        return "is a link that leads nowhere" if path.is_symlink() else "cannot be read"
    return _fault(path, now.st_size, now.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _fault(path: Path, size: int, changed: int) -> str:
    try:
        with safe_open(path, "pt"):
            return ""
    except (SafetensorError, OSError):
        return _reason(path, size)


def _reason(path: Path, size: int) -> str:
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError:
        return "cannot be read"
    if not size:
        return "is empty"
    if start.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the weights"
    if start.startswith((b"PK", b"\x80")):
        return "is a pickle, which is never opened here"
    return "is cut off or no safetensors file"
