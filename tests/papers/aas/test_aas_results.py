"""What the page of results tells of AAS's kept studies; and the command of the control."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.__main__ import main
from engine.evaluate.claim import figure
from engine.evaluate.interval import Estimate, Rate
from engine.evaluate.study import STUDIES, read
from engine.papers import results
from engine.papers.aas import results as told
from engine.papers.aas import saturation
from engine.papers.aas.findings import Findings, Point, Saturation

PAGE = (results.ROOT / results.PAGE).read_text(encoding="utf-8")
CONTROLS = sorted(STUDIES.glob(f"{saturation.NAME}_*.json"))
MODELS = [
    path
    for path in sorted(STUDIES.glob("aas_*.json"))
    if not path.stem.startswith(("aas_at", saturation.NAME))
]


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_every_row_of_a_study_of_a_model_is_told(path: Path) -> None:
    study = read(path, Findings)
    for row in study.claims:
        (line,) = (e for e in PAGE.splitlines() if f"| {row.claim} | {row.statement} |" in e)
        assert figure(row.measured, row.unit) in line
    base = study.findings.attack("base")
    assert base is not None
    assert f"| {base.left.value:.0f} % [" in PAGE


@pytest.mark.parametrize("path", CONTROLS, ids=lambda path: path.stem)
def test_every_point_of_a_control_is_told(path: Path) -> None:
    found = read(path, Saturation).findings
    for line in saturation.markdown(found).splitlines():
        assert line in PAGE


def points(c: float, base: float, undone: float) -> tuple[Point, ...]:
    rows = {"base": base, "undone": undone, "float64": base, "aas": base, "uniform 0.1": undone}
    return tuple(
        Point(
            c,
            1 / 255,
            name,
            20,
            Estimate(left, left - 9, left + 9),
            Rate(base - left, base - left - 5, base - left + 5, 20, False),
            0.01,
        )
        for name, left in rows.items()
    )


def test_the_control_tells_the_c_at_which_most_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Saturation("m", 20, 10, "cpu", (*points(10.0, 20, 18), *points(30.0, 40, 9)))
    kept: Any = type("Kept", (), {"findings": found})
    monkeypatch.setattr(
        told, "studies", lambda name, kind: [kept] if name == saturation.NAME else []
    )
    (said,) = told.findings()
    assert "scores times 30" in said
    assert "40 % [31, 49]" in said
    assert "9 % [0, 18]" in said
    assert "float64 40 %" in said
    assert "| 30 | 1/255 | 20 |" in told.sections()


def test_saturate_writes_what_was_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[saturation.Conditions] = []

    def measured(photographs: object, on: saturation.Conditions) -> Any:
        asked.append(on)
        yield Saturation("vit_imagenette", on.steps, 10, "cpu", points(30.0, 40, 9))

    monkeypatch.setattr(saturation, "saturate", measured)
    out = tmp_path / "found.json"
    words = ("saturate", str(tmp_path), "--model", "vit_imagenette", "--c", "1", "30")
    assert main([*words, "--budgets", "0.5/255", "--out", str(out)]) == 0
    assert asked[0].cs == (1, 30)
    assert asked[0].budgets == (0.5 / 255,)
    study = read(out, Saturation)
    assert study.name == json.loads(out.read_text(encoding="utf-8"))["name"] == saturation.NAME
    assert study.findings.points == points(30.0, 40, 9)
    assert main([*words, "--budgets", "nan"]) == 2


def test_compare_says_of_a_picture_what_the_page_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "masking.json"
    words = ("compare", "aas", "sample:golf_ball", "--steps", "1", "--c", "30")
    assert main([*words, "--out", str(out)]) == 0
    table = capsys.readouterr().out
    found = json.loads(out.read_text(encoding="utf-8"))
    assert found["victim"] == "vit_imagenette|saturated"
    assert found["sentence"] in table
    assert len(found["attacks"]) == found["steps"]["asked"] == 6
    for each in found["attacks"]:
        assert f"| {each['answer']} | {each['gradients']} |" in table
    assert len(found["blocks"]) == 8
