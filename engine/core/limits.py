"""Limits in bytes that whoever runs the Lab can set by an environment variable."""

from __future__ import annotations

import os

from engine.core.errors import BadKnob


def bytes_from(variable: str, otherwise: float) -> int:
    """The limit that `variable` names ("2e9" is fine), else `otherwise`; raises BadKnob."""
    named = os.environ.get(variable)
    try:
        limit = int(float(named)) if named else int(otherwise)
    except (ValueError, OverflowError):
        limit = -1
    if limit < 0:
        raise BadKnob(variable, named, "a number of bytes, as 1500000000 or 1.5e9")
    return limit


def megabytes(count: float) -> str:
    """A number of bytes as people say it: "22.9 MB", "1,213 MB"."""
    return f"{count / 1e6:,.1f} MB" if count < 1e8 else f"{count / 1e6:,.0f} MB"
