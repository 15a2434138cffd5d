"""A third paper is a folder and a line: commands, options, JSON, Markdown and a kept study follow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine import arguments
from engine.core.errors import BadKnob, BadTask, UnknownName
from engine.core.knobs import Knobbed, knob
from engine.evaluate.claim import Row, verdict
from engine.evaluate.interval import Estimate, bootstrap
from engine.evaluate.progress import Progress
from engine.evaluate.study import read
from engine.papers import results, told
from engine.papers.catalog import PAPERS
from engine.papers.commands import declare
from engine.papers.paper import Exhibit, OnPhotographs, OnPicture, Paper, Photographs

# What a newcomer writes: settings, a measurement, a comparison, and the value that names them.


@dataclass(frozen=True)
class Settings(Knobbed):
    """One dial."""

    bar: float = knob(0.5, "How bright is bright.", low=0, high=1)


@dataclass(frozen=True)
class Brightest:
    """The picture that is brightest."""

    name: str


def claims(asked: Photographs, settings: Settings) -> Iterator[Progress | Row | Brightest]:
    """Photographs are bright."""
    shares = {"a.png": 0.9, "b.png": 0.7, "c.png": 0.8}
    for done, _ in enumerate(shares, 1):
        yield Progress("looking", done, len(shares))
    values = list(shares.values())
    found = bootstrap(lambda w: sum(w[:, i] * v for i, v in enumerate(values)) / w.sum(1), 3)
    said = verdict(found, settings.bar)
    yield Row("B1", "brightness", found, "area", f"above {settings.bar:g}", said, asked.limit or 3)
    yield Brightest(max(shares, key=lambda name: shares[name]))


def compare(exhibit: Exhibit, settings: Settings) -> Iterator[Progress | tuple[int, int]]:
    """How many pixels are bright."""
    yield Progress("counting", 1, 1)
    pixels = list(exhibit.image.convert("L").tobytes())
    yield sum(each > 255 * settings.bar for each in pixels), len(pixels)


def summary(exhibit: Exhibit, found: tuple[int, int]) -> dict[str, Any]:
    return {"picture": exhibit.identity, "bright": found[0], "of": found[1]}


BRIGHT = Paper(
    "bright",
    "Bright",
    "Bright: how bright photographs are",
    "Nobody, 2026",
    OnPhotographs(Settings, claims, Brightest),
    OnPicture(Settings, compare, summary, lambda found: f"| bright |\n| --- |\n| {found[0]} |\n"),
)

# What follows from that.


def run(*words: str) -> None:
    parser = arguments.Parser(prog="engine")
    declare(arguments.Commands(parser), (*PAPERS, BRIGHT))
    asked = parser.parse_args(words)
    asked.run(asked)


OVER = ("claims", "bright", "pictures", "--model", "vit_imagenette")


def test_claims_print_a_table_and_write_a_study_that_reads_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bright_vit_imagenette.json"
    run(*OVER, "--bar", "0.75", "--limit", "9", "--seed", "4", "--out", str(out))
    table = capsys.readouterr().out
    assert "| B1 | brightness | 0.800 [0.700, 0.900] | above 0.75 | undecided | 9 |" in table
    study = read(out, Brightest)
    assert (study.name, study.model, study.findings) == (
        "bright",
        "vit_imagenette",
        Brightest("a.png"),
    )
    assert study.about["settings"] == {"bar": 0.75}
    assert (study.about["folder"], study.about["seed"]) == ("pictures", 4)
    assert list(study.weights) == ["vit_imagenette"]
    (row,) = study.claims
    assert row.measured == Estimate(pytest.approx(0.8), pytest.approx(0.7), pytest.approx(0.9))
    run(*OVER, "--bar", "0.75", "--limit", "9", "--seed", "4", "--json")
    assert json.loads(capsys.readouterr().out) == json.loads(out.read_text(encoding="utf-8"))


def test_a_picture_is_compared_by_the_same_means(capsys: pytest.CaptureFixture[str]) -> None:
    run("compare", "bright", "sample:golf_ball", "--bar", "0", "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["picture"]["name"] == "golf_ball"
    assert (
        0 < found["bright"] <= found["of"] == found["picture"]["width"] * found["picture"]["height"]
    )
    run("compare", "bright", "sample:golf_ball", "--bar", "1")
    assert capsys.readouterr().out.splitlines()[2] == "| 0 |"


def test_its_options_are_its_own_settings(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("claims", "bright", "--help")
    told = " ".join(capsys.readouterr().out.split())
    assert "--bar" in told
    assert "How bright is bright. a number from 0 to 1; default 0.5" in told
    assert "--targets" not in told  # its claims are about one model
    assert "--share" not in told  # that is QuantAttack's
    with pytest.raises((BadKnob, BadTask)):
        run(*OVER, "--bar", "2")
    with pytest.raises(BadTask):
        run(*OVER, "--share", "0.1")
    with pytest.raises(UnknownName):
        run("claims", "bright", "pictures", "--model", "nobodys_model")


def test_its_study_is_told_among_the_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(*OVER, "--limit", "9", "--out", str(tmp_path / "bright_vit_imagenette.json"))
    monkeypatch.setattr(told, "STUDIES", tmp_path)
    monkeypatch.setattr(results, "PAPERS", (BRIGHT,))
    page = "\n".join(results.sections())
    assert "## Claims of Bright" in page
    assert "| B1 | brightness | above 0.5 | 0.800 [0.700, 0.900] **holds** |" in page


def test_papers_of_the_catalog_are_told_apart() -> None:
    assert len({paper.name for paper in PAPERS}) == len(PAPERS)
    for paper in PAPERS:
        assert paper.claims.settings() == paper.claims.settings()
        assert paper.compare.settings() == paper.compare.settings()
