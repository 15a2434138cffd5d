"""Every hostile file, given to the command line: one sentence and exit status 2."""

from __future__ import annotations

from pathlib import Path

import pytest
from cases import PICTURES, SLOW, TABLES, Case, picture

from engine.__main__ import main

MODEL = ("--model", "resnet_imagenette", "--attack", "fgsm")


def answered(capsys: pytest.CaptureFixture[str], words: str, *asked: str) -> None:
    assert main(asked) == 2
    out, err = capsys.readouterr()
    assert words in err
    assert "Traceback" not in err
    assert len(err.strip()) < 500
    assert not out


@pytest.mark.parametrize("case", PICTURES + SLOW, ids=lambda case: case.name)
def test_pictures(case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / case.name).write_bytes(case.make())
    out = ("--out", str(tmp_path / "out"))
    answered(capsys, case.words, "attack", str(tmp_path / case.name), *MODEL, *out)


@pytest.mark.parametrize("case", TABLES, ids=lambda case: case.name)
def test_tables(case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "1.png").write_bytes(picture())
    (tmp_path / "labels.csv").write_bytes(case.make())
    answered(capsys, case.words, "evaluate", str(tmp_path), *MODEL)
