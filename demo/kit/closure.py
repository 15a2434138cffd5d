"""Which code of ours a result comes from: a module and all that it imports, as one hash.

Read from the imports as they are written, without running anything. Comments, docstrings and layout
do not count; the versions of the libraries that compute do.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
OURS = ("engine", "demo")
LIBRARIES = ("torch", "torchvision", "timm", "pillow")


def code(*entries: str) -> str:
    """A hash of the modules, of every module of ours that they import, and of `LIBRARIES`."""
    parts = [f"{name} {_text(name)}" for name in sorted(modules(*entries))]
    parts += [f"{name} {_version(name)}" for name in LIBRARIES]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def modules(*entries: str) -> set[str]:
    """The modules of ours that these import, directly or not, and the packages they lie in."""
    found: set[str] = set()
    todo = list(entries)
    while todo:
        name = todo.pop()
        if name not in found and _file(name) is not None:
            found.add(name)
            todo += [*_imported(name), name.rpartition(".")[0]]
    return found


@cache
def _file(module: str) -> Path | None:
    if module.partition(".")[0] not in OURS:
        return None
    path = ROOT.joinpath(*module.split("."))
    return next(
        (each for each in (path / "__init__.py", path.with_suffix(".py")) if each.is_file()), None
    )


@cache
def _tree(module: str) -> ast.Module:
    path = _file(module)
    assert path is not None
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def _imported(module: str) -> tuple[str, ...]:
    return tuple(_imports(_tree(module)))


def _imports(tree: ast.Module) -> Iterator[str]:
    """What is imported by name; of `from a import b`, `a.b` too, which may be a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{each.name}" for each in node.names)


@cache
def _text(module: str) -> str:
    return repr(plain(_tree(module)))


def plain(node: Any) -> Any:
    """A syntax tree as tuples, the same in every version of Python, without texts that do nothing."""
    if isinstance(node, ast.AST):
        fields = ((name, plain(value)) for name, value in ast.iter_fields(node))
        return (type(node).__name__, *(each for each in fields if each[1] not in (None, ())))
    if isinstance(node, list):
        return tuple(plain(each) for each in node if not _is_prose(each))
    return node


def _is_prose(node: Any) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _version(library: str) -> str:
    """Without what says how it was built, as +cpu."""
    return metadata.version(library).partition("+")[0]
