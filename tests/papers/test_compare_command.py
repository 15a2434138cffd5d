"""`compare` says of one picture what the pages say: the same runs, as a table and as JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

from engine.__main__ import main
from engine.attack.recipes.tgr import TGR
from engine.data import samples
from engine.data.samples import load_sample
from engine.evaluate.judge import shown
from engine.model import zoo
from engine.papers.quant.compare import ATTACKED
from engine.papers.quant.threshold import usual
from engine.papers.tgr import compare as why
from engine.studio import Subject

MODEL = "vit_imagenette"


def test_tgr_compares_the_variants_that_the_page_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "why.json"
    words = ("compare", "tgr", "sample:golf_ball", "--steps", "2", "--targets", "resnet_imagenette")
    assert main([*words, "--out", str(out)]) == 0
    table = capsys.readouterr().out
    found = json.loads(out.read_text(encoding="utf-8"))
    source = zoo.load(MODEL)
    of = Subject.of(source, load_sample("golf_ball"))
    readings = list(why.compare(of, TGR(steps=2)))
    for name in why.VARIANTS:
        own = [each for each in readings if each.variant == name]
        assert found["attacks"][name]["loss"] == pytest.approx([r.loss for r in own], rel=1e-3)
        with torch.no_grad():
            x = shown(own[-1].pixels[None], source)
            said = source.spec.classes[int(source.logits(x).argmax())]
        told = next(each for each in found["transfer"] if each["white_box"])
        assert told["answers"][name]["answer"] == said.replace("_", " ")
    assert [each["model"] for each in found["transfer"]] == [MODEL, "resnet_imagenette"]
    assert len(re.findall(r"^\| (?!attack|---)", table, re.M)) == len(why.VARIANTS)
    assert "fools, of 1 other models that were right" in table


def test_quant_reports_what_the_page_reports(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = samples.samples()[:3]
    monkeypatch.setattr(samples, "samples", lambda: few)  # batch-mates, to be quick
    out = tmp_path / "cost.json"
    words = ("compare", "quant", "sample:golf_ball", "--steps", "2", "--rounds", "1")
    assert main([*words, "--out", str(out)]) == 0
    table = capsys.readouterr().out
    found = json.loads(out.read_text(encoding="utf-8"))
    known = usual(MODEL)
    assert known is not None
    assert found["threshold"]["value"] == known.value
    assert found["steps"] == {"done": 2, "asked": 2}
    attacked = found["pictures"]["attacked"]["outlier_columns_int8_model"]
    assert found["columns_by_step"][-1] == [2, attacked]
    assert f"| attacked | {found['pictures']['attacked']['answer']} | {attacked} |" in table
    assert ATTACKED not in table
    for each in found["countermeasures"]:
        assert f"| {each['name']} | {each['clean']:.1%} | {each['attacked']:.1%} |" in table


def test_desparsify_reports_what_the_page_reports(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = samples.samples()[:3]
    monkeypatch.setattr(samples, "samples", lambda: few)  # batch-mates, to be quick
    out = tmp_path / "tokens.json"
    words = ("compare", "desparsify", "sample:golf_ball", "--steps", "2", "--rounds", "1")
    assert main([*words, "--out", str(out)]) == 0
    table = capsys.readouterr().out
    found = json.loads(out.read_text(encoding="utf-8"))
    assert (found["victim"], found["mechanism"]) == ("vit_imagenette|ats", "ATS")
    clean, attacked = (found["pictures"][name]["macs"] for name in ("clean", "attacked"))
    assert clean == found["macs_by_step"][0][1] < found["macs_dense"]
    assert found["steps"] == {"done": 2, "asked": 2}
    gap = (attacked - clean) / (found["macs_dense"] - clean)
    assert f"| {attacked / 1e9:.3f} | {gap:.1%} |" in table
    dense = next(each for each in found["elsewhere"] if each["mechanism"] == "Dense")
    assert dense["clean"] == dense["attacked"] == found["macs_dense"]
    assert [each["name"] for each in found["countermeasures"]]


@pytest.mark.parametrize(
    "words",
    [
        ("tgr", "sample:nothing"),
        ("tgr", "sample:church", "--label", "unicorn"),
        ("tgr", "sample:church", "--targets", "typo"),
        ("tgr", "sample:church", "--k", "-1"),
        ("quant", "sample:church", "--targets", "resnet_imagenette"),
        ("quant", "sample:church", "--attack", "tgr"),
        ("quant", "sample:church", "--model", "typo"),
        ("desparsify", "sample:church", "--attack", "quantattack"),
        ("nobody", "sample:church"),
    ],
)
def test_what_cannot_be_compared_is_a_sentence(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("engine: ")
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--model", "resnet_imagenette"), "cannot drop tokens"),
        (("--model", "deit_imagenette", "--attack", "universal"), "ships for this model"),
    ],
    ids=("a CNN", "nothing shipped"),
)
def test_what_only_the_model_can_refuse_is_a_sentence_too(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", "desparsify", "sample:church", *words]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("engine: ")
    assert said in last
