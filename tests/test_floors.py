"""Imports point downwards only, and a new recipe cannot be forgotten."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.attack.catalog import BY_NAME, RECIPES

ROOT = Path(__file__).parents[1]
FLOORS = {
    "engine.core": 0,
    "engine.data": 1,
    "engine.model": 2,
    "engine.alter": 3,
    "engine.attack": 3,
    "engine.probe": 4,
    "engine.evaluate": 4,
    "engine.train": 5,
    "engine.studio": 5,
    "engine.arguments": 5,
    "engine.papers": 6,
    "engine.reproduce": 6,
    "engine.tokens": 6,
    "engine.__main__": 7,
    "demo.kit": 7,
    "demo.lab": 8,
    "demo.transfer": 8,
    "demo.why": 8,
    "demo.cost": 8,
    "demo.cost_tokens": 8,
    "demo.learn": 8,
    "demo": 9,
    "app": 10,
}
SPEAKING = {"__main__.py", "arguments.py"}  # the command line
VIEWERS = {"gradio", "gradio_client", "plotly"}
FILES = sorted(
    path
    for top in ("engine", "demo", "app.py")
    for path in ((ROOT / top).rglob("*.py") if (ROOT / top).is_dir() else [ROOT / top])
    if path.exists()
)


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the floor"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part_of(module: str) -> str | None:
    """The longest known part a module belongs to; files on the top floors of engine are parts."""
    parents = module.split(".")
    names = (".".join(parents[:i]) for i in range(len(parents), 0, -1))
    return next((name for name in names if name in FLOORS), None)


def test_every_file_of_the_engine_stands_on_a_floor():
    strays = [m for m in map(module_of, FILES) if m != "engine" and part_of(m) is None]
    assert not strays


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_downwards(path: Path):
    here = part_of(module_of(path))
    for name in imports(path):
        there = part_of(name)
        if here is None or there is None or there == here:
            continue
        assert FLOORS[there] < FLOORS[here], f"{here} imports {name}"


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if "engine" in path.relative_to(ROOT).parts],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_engine_draws_no_page_and_prints_nothing(path: Path):
    assert not {name.split(".")[0] for name in imports(path)} & VIEWERS
    if path.name in SPEAKING:
        return
    calls = (n for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Call))
    assert not [c for c in calls if isinstance(c.func, ast.Name) and c.func.id == "print"]


def test_every_recipe_file_is_in_the_catalogue():
    files = {path.stem for path in (ROOT / "engine/attack/recipes").glob("[!_]*.py")}
    assert files == {kind.__module__.rsplit(".", 1)[1] for kind in RECIPES}
    assert len(BY_NAME) == len(RECIPES)
