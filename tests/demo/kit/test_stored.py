"""What stands there first: shown while it is whole and of the weights that are here, else left out."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from demo.kit import stored
from demo.lab import first as first_run
from demo.transfer import first as transfer_first
from demo.why import first as why_first
from demo.why import studies

ROOT = Path(__file__).parents[3]
WHOLE = json.dumps({"made_of": "these weights", "message": {"said": "×2"}}, ensure_ascii=False)
START = """
import json
import app
from demo.kit.chrome import launch_settings
launch_settings()
print(json.dumps(len(app.demo.blocks)))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(stored, "FOLDER", tmp_path)
    return tmp_path


def test_a_whole_file_of_these_weights_is_shown(folder: Path) -> None:
    (folder / "x.json").write_text(WHOLE, encoding="utf-8")
    assert stored.read("x.json", "these weights") == {"said": "×2"}
    assert stored.read("x.json", "other weights") is None
    assert stored.read("none.json", "these weights") is None
    assert not stored.problems


@pytest.mark.parametrize(
    "damage",
    [
        WHOLE[: len(WHOLE) // 2],
        WHOLE[:-1],
        "",
        "null",
        "[]",
        "{}",
        '{"made_of": "these weights"}',
        '{"made_of": "these weights", "message": null}',
        '{"made_of": "these weights", "message": [1]}',
        "[" * 100_000,
        WHOLE.encode().replace("×".encode(), b"\xff"),
    ],
    ids=lambda damage: repr(damage[:24]),
)
def test_a_damaged_file_is_left_out_and_named(
    damage: str | bytes, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = damage.encode() if isinstance(damage, str) else damage
    (folder / "x.json").write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert stored.read("x.json", "these weights") is None
    assert "x.json could not be read" in caplog.text
    assert stored.problems == {"x.json": "The earlier result could not be read; press Run."}
    (folder / "x.json").write_text(WHOLE, encoding="utf-8")
    assert stored.read("x.json", "these weights") is not None
    assert not stored.problems, "a file that is whole again is no problem"


@pytest.mark.parametrize("first", [first_run, why_first, transfer_first], ids=lambda f: f.FILE)
def test_every_page_opens_without_its_file(
    first: object, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = first.FILE  # pyright: ignore[reportAttributeAccessIssue]
    cut = (ROOT / "assets" / name).read_bytes()[:5000]
    (folder / name).write_bytes(cut)
    asked = getattr(first.stored, "__wrapped__", first.stored)  # pyright: ignore
    assert asked() is None
    assert name in stored.problems


@pytest.mark.parametrize("missing", ["assets", "assets/samples"])
def test_the_app_starts_without_what_is_missing(missing: str, tmp_path: Path) -> None:
    for name in ("engine", "demo", "assets"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "app.py", tmp_path)
    shutil.rmtree(tmp_path / missing)
    done = subprocess.run(
        [sys.executable, "-c", START],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout.split()[-1]) > 50
    assert "missing" in done.stderr


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b"[" * 100_000])
def test_a_damaged_study_is_left_out(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "study.json").write_bytes(content)
    assert studies._read(tmp_path / "study.json") is None
