"""Which code a result comes from: all that is imported, without prose."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.kit import closure

FILES = {
    "engine/__init__.py": "",
    "engine/entry.py": "import torch\nfrom engine.pack import left\n",
    "engine/pack/__init__.py": "",
    "engine/pack/left.py": "def f(x):\n    return x + 1\n",
    "engine/pack/right.py": "A = 1\n",
}


def write(house: Path, file: str, text: str) -> None:
    path = house / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    forget()


def forget() -> None:
    for each in (closure._file, closure._tree, closure._imported, closure._text):
        each.cache_clear()


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(closure, "ROOT", tmp_path)
    for file, text in FILES.items():
        write(tmp_path, file, text)
    yield tmp_path
    forget()


def test_what_is_imported_counts_with_the_packages_it_lies_in(house: Path) -> None:
    found = closure.modules("engine.entry")
    assert found == {"engine", "engine.entry", "engine.pack", "engine.pack.left"}


@pytest.mark.parametrize(
    ("file", "text", "same"),
    [
        ("engine/pack/left.py", "def f(x):\n    return x + 2\n", False),
        ("engine/pack/left.py", "def f(x):\n    return x - 1\n", False),
        ("engine/pack/left.py", 'def f(x):\n    """One more."""\n    return (x + 1)  # so\n', True),
        ("engine/pack/left.py", '"""Of sums."""\n\n\ndef f(x): return x + 1\n', True),
        ("engine/pack/right.py", "A = 2\n", True),
        ("engine/pack/__init__.py", "A = 2\n", False),
        ("engine/entry.py", "import engine.pack.right\nfrom engine.pack import left\n", False),
    ],
)
def test_only_what_runs_changes_the_hash(house: Path, file: str, text: str, same: bool) -> None:
    before = closure.code("engine.entry")
    write(house, file, text)
    assert (closure.code("engine.entry") == before) is same


def test_another_library_is_other_code(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = closure.code("engine.entry")
    monkeypatch.setattr(closure.metadata, "version", lambda name: "0.1")
    assert closure.code("engine.entry") != before


def test_a_page_s_result_comes_from_engine_and_page() -> None:
    found = closure.modules("demo.cost.first")
    assert {"demo.cost.message", "engine.papers.quant.compare", "engine.model.victim"} <= found
    assert "demo.why.message" not in found
