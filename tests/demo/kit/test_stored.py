"""What stands there first: shown while it is whole and of the weights that are here, else left out."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from demo import stored as command
from demo.kit import stored
from demo.kit.packing import pack
from demo.kit.stored import Message, Stored, Told, silent

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
    monkeypatch.setattr(stored, "problems", {})
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


@pytest.mark.parametrize("result", command.results(), ids=lambda each: each.file)
def test_every_page_opens_without_its_file(result: Stored, folder: Path) -> None:
    cut = (ROOT / "assets" / result.file).read_bytes()[:5000]
    (folder / result.file).write_bytes(cut)
    assert result.state() == "damaged"
    assert stored.read(result.file, result.made_of()) is None
    assert result.file in stored.problems


@pytest.mark.parametrize("result", command.results(), ids=lambda each: each.file)
def test_what_stands_on_a_page_is_what_the_code_here_makes(result: Stored) -> None:
    """Where only code has changed since, a part is computed again; that takes seconds."""
    state = result.state()
    found = result.differences() if state == "due" else []
    assert state in ("current", "due"), f"{state}: run python -m demo.stored {result.file}"
    assert not found, f"{found[:4]}: run python -m demo.stored {result.file}"


@pytest.fixture
def result(folder: Path) -> Stored:
    """Two numbers and a word, kept."""
    made = Stored("x.json", "demo.kit.knows", lambda: "these", MAKE, lambda: MAKE(silent), FIGURES)
    made.renew(silent)
    return made


def MAKE(told: Told) -> Message:
    return {"losses": [1.0, 2.0], "word": "cat", "later": []}


def FIGURES(message: Message) -> dict[str, float]:
    return stored.numbers({"loss": message["losses"]})


def test_a_result_is_current_until_what_made_it_changes(
    result: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert result.state() == "current"
    assert result.differences() == []
    assert replace(result, made_of=lambda: "others").state() == "stale"
    assert replace(result, file="none.json").state() == "missing"
    monkeypatch.setattr(stored.closure, "code", lambda *_: "other code")
    assert result.state() == "due"
    result.approve()
    assert result.state() == "current"
    assert stored.read("x.json", "these") == MAKE(silent), "what is shown stays as it was"


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ({"losses": [1.0, 2.03], "word": "cat", "later": []}, None),
        ({"losses": [1.0, 2.05], "word": "cat", "later": []}, "loss 2 is 2.0, now 2.05"),
        ({"losses": [1.0, 2.0], "word": "dog", "later": [7]}, None),
        ({"losses": [1.0, 2.0], "word": "cat"}, "it.later is only in the file"),
        ({"losses": [1.0, 2.0], "word": 3, "later": []}, "it.word is str, now a number"),
    ],
)
def test_a_part_that_is_made_again_is_compared(
    now: Message, said: str | None, result: Stored
) -> None:
    again = replace(result, part=lambda: now)
    assert again.differences() == ([] if said is None else [said])


def test_numbers_are_found_in_any_nest() -> None:
    packed = pack(torch.tensor([1.0, 2.0]))
    found = stored.numbers({"a": [1, {"b": 2.5}], "word": "no", "yes": True, "packed": packed})
    assert found == {"a 1": 1, "a 2 b": 2.5, "packed": 1.5}


@pytest.mark.slow
@pytest.mark.parametrize("missing", ["assets", "assets/samples"])
def test_the_app_starts_without_what_is_missing(missing: str, tmp_path: Path) -> None:
    for name in ("engine", "demo", "assets"):
        shutil.copytree(ROOT / name, tmp_path / name)
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
