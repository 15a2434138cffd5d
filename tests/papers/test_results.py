"""The results are what is stored, and the README says nothing that the results do not."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from types import NoneType

import pytest

from engine.attack.universal import SHIPPED, load
from engine.core.errors import BadTask
from engine.evaluate.claim import figure
from engine.evaluate.study import STUDIES, read
from engine.papers import results
from engine.papers.desparsify import findings as desparsify
from engine.papers.quant.findings import Findings
from engine.papers.tgr.ablation import Parts

PAGE = (results.ROOT / results.PAGE).read_text(encoding="utf-8")
README = (results.ROOT / results.README).read_text(encoding="utf-8")
KINDS = {
    "tgr": NoneType,
    "tgr_ablation": Parts,
    "quant": Findings,
    "desparsify": desparsify.Findings,
}
# A figure with its sign and share, as `8/255`, `+4.7`, `−9` or `27.2`; names of models have none.
NUMBER = re.compile(r"(?<![\w.`/])[+−×]?\d+(?:[./]\d+)*(?![\w`])")


def studies(name: str) -> list[Path]:
    models = rf"{name}_(?!ablation)" if name == "tgr" else f"{name}_"
    return [path for path in sorted(STUDIES.glob("*.json")) if re.match(models, path.stem)]


def lines(text: str) -> list[str]:
    return [line for line in PAGE.splitlines() if text in line]


def test_both_texts_are_current() -> None:
    """If not: `python -m engine results`."""
    assert results.stale() == ()


def test_every_number_of_the_readmes_findings_is_in_the_results() -> None:
    part = README.split("## What was measured")[1].split("\n## ")[0]
    plain = re.sub(r"<!--.*?-->|`[^`]*`", "", part)
    said = NUMBER.findall(plain)
    assert len(said) > 60
    known = set(NUMBER.findall(re.sub(r"`[^`]*`", "", PAGE)))
    assert {word.lstrip("×+") for word in said} <= {word.lstrip("×+") for word in known}


@pytest.mark.parametrize(
    "path",
    [path for name in ("tgr", "quant", "desparsify") for path in studies(name)],
    ids=lambda path: path.stem,
)
def test_every_row_of_every_study_is_told(path: Path) -> None:
    study = read(path, KINDS[path.stem.split("_")[0]])
    assert study.claims
    for row in study.claims:
        (line,) = lines(f"| {row.claim} | {row.statement} |")
        assert figure(row.measured, row.unit) in line
        assert row.verdict == "reported" or row.verdict in line


@pytest.mark.parametrize("path", studies("tgr_ablation"), ids=lambda path: path.stem)
def test_every_setting_of_the_ablations_is_told(path: Path) -> None:
    for each in read(path, Parts).findings.entries:
        (line,) = (
            line for line in lines(f"| {each.words} |") if line.startswith(f"| {each.words}")
        )
        gain = [f"{100 * v:+.1f}" for v in (each.gain.value, each.gain.low, each.gain.high)]
        words = [("0.0" if float(v) == 0 else v).replace("-", "−") for v in gain]
        told = f"{words[0]} [{words[1]}, {words[2]}]"
        assert each.words == "MI-FGSM" or told in line


def test_every_perturbation_and_countermeasure_is_told() -> None:
    for path in SHIPPED.glob("quantattack_*.safetensors"):
        made = load(path)
        assert made.measured is not None
        found = made.measured.figures["outlier columns"]
        (line,) = (each for each in lines(f"`{made.victim}`") if each.startswith("|"))
        for value in (found.clean, found.noise, found.attacked):
            assert f"| {value:.1f}" in line
        assert f"(×{found.attacked / found.clean:.2f})" in line
    for path in studies("quant"):
        for each in read(path, Findings).findings.defended:
            told = (
                f"| {each.name} | {figure(each.left, 'ratio')} | {figure(each.price, 'points')} |"
            )
            assert lines(told)


@pytest.mark.parametrize("path", studies("desparsify"), ids=lambda path: path.stem)
def test_every_set_budget_model_and_bound_of_desparsify_is_told(path: Path) -> None:
    found = read(path, desparsify.Findings).findings
    for each in found.measured:
        told = (figure(each.macs, "GMACs"), figure(each.gap, "%"), figure(each.kept, "%"))
        assert any(all(f"| {word} |" in line for word in told) for line in PAGE.splitlines())
    for each in found.curve:
        rows = lines(f"| {255 * each.eps:g}/255 |")
        assert any(f"| {figure(each.gap, '%')} (noise" in line for line in rows)
    for each in found.abroad:
        assert lines(f"| {each.title} | {figure(each.gap, '%')} |")
    for each in found.bounds:
        told = f"| {each.bound:.0%} of tokens | {each.ceiling:.3f} GMACs | "
        assert any(figure(each.blind, "GMACs") in line for line in lines(told))
    for each in found.defended:
        assert any(figure(each.left, "%") in line for line in lines(f"| {each.name} |"))
    assert lines(f"| {figure(found.detected.area, 'area')} |")


def test_what_is_stale_is_said_and_written_anew(tmp_path: Path) -> None:
    shutil.copy(results.ROOT / results.README, tmp_path)
    assert [path.name for path in results.stale(tmp_path)] == ["results.md"]
    assert [path.name for path in results.write(tmp_path)] == ["results.md"]
    readme = tmp_path / results.README
    readme.write_text(README.replace("photographs", "pictures"), encoding="utf-8")
    assert results.stale(tmp_path) == (readme,)
    results.write(tmp_path)
    assert results.findings() in readme.read_text(encoding="utf-8")
    assert results.write(tmp_path) == ()
    readme.write_text("# No place", encoding="utf-8")
    with pytest.raises(BadTask, match="no place for findings"):
        results.stale(tmp_path)
