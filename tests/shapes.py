"""Calls of the engine are checked against the shapes in their signatures, while the tests run.

jaxtyping's import hook wraps the functions of every module that names a shape, and asks `checker`
of each. It is beartype, for it looks at one call in microseconds, and of shapes only: pyright,
strict on the whole engine, has the other types.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_args

from beartype import beartype
from jaxtyping import AbstractArray, install_import_hook

ENGINE = Path(__file__).parents[1] / "engine"
MODULES = [
    ".".join(path.relative_to(ENGINE.parent).with_suffix("").parts)
    for path in sorted(ENGINE.rglob("*.py"))
    if re.search("^from (engine.core.shapes|jaxtyping) import", path.read_text("utf-8"), re.M)
]
F = TypeVar("F", bound=Callable[..., Any])


def checker(function: F) -> F:
    """`function` checked by beartype where its hints name a shape."""
    hints = function.__annotations__
    function.__annotations__ = {name: hint for name, hint in hints.items() if _shaped(hint)}
    return beartype(function) if function.__annotations__ else function


def _shaped(hint: Any) -> bool:
    if inspect.isclass(hint) and issubclass(hint, AbstractArray):
        return True
    return any(map(_shaped, get_args(hint)))


def watch() -> None:
    """From now on; what is imported already goes unwatched."""
    install_import_hook(MODULES, f"{__name__}.{checker.__name__}")
