"""What the tokens room shows, without a browser: its numbers are the report's, its files say what
they are, and what is said of a study is what the study holds."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from demo.cost_tokens import first, page, sections
from demo.cost_tokens import message as messages
from demo.cost_tokens.message import message
from demo.cost_tokens.trial import Question, Trial, attacks, chosen, drive, offered, question
from demo.kit import stored
from engine.core.errors import EngineError
from engine.data.samples import load_sample
from engine.evaluate.interval import Estimate, Rate
from engine.papers.desparsify.compare import ATTACKED, CLEAN, NOISE, Report
from engine.papers.desparsify.findings import About, Bounded, Defended, Findings, Point
from engine.papers.detected import Detected

CHURCH = {
    "source": "sample:church",
    "model": "vit_imagenette_adavit",
    "attack": "desparsify",
    "eps": 4,
    "steps": 2,
    "keep": True,
}


def read(asked: Question) -> tuple[Trial, Report]:
    """The run up to its first report, which holds all counts."""
    trial = Trial(asked)
    for event in drive(trial):
        if isinstance(event, Report):
            return trial, event
    raise AssertionError("no report")


def bits(packed: dict[str, Any]) -> torch.Tensor:
    raw = bytearray(base64.b64decode(packed["data"]))
    return torch.frombuffer(raw, dtype=torch.uint8).view(packed["shape"]).bool()


@pytest.fixture(scope="module")
def church() -> tuple[Trial, Report]:
    return read(question(CHURCH, None))


def test_the_message_counts_what_the_report_holds(church: tuple[Trial, Report]) -> None:
    trial, found = church
    sent = json.loads(json.dumps(message(trial, found), allow_nan=False))
    assert (sent["blocks"], sent["tokens"]) == tuple(found.seen[CLEAN].keep.shape)
    clean = found.seen[CLEAN].keep
    for name, seen in found.seen.items():
        told = sent["seen"][name]
        assert torch.equal(bits(told["keep"]), seen.keep)
        assert torch.equal(bits(told["heads"]), seen.heads)
        assert told["tokens"] == seen.keep.sum(1).tolist()
        assert told["macs"] == seen.macs
        assert told["gap"] == pytest.approx(found.gap(name), rel=1e-3)
        assert sum(told["woken"]) == told["woke"] == int((seen.keep & ~clean).sum())
        assert sum(told["slept"]) == told["put"] == int((clean & ~seen.keep).sum())
        moved = torch.tensor(told["woken"]) - torch.tensor(told["slept"])
        assert torch.equal(clean.sum(1) + moved, seen.keep.sum(1))
        assert told["asleep"] == sent["slots"] - int(seen.keep[list(found.sparse)].sum())
        assert told["heads_on"] == int(seen.heads.sum())
        assert told["depth"] is None
    assert sent["seen"][CLEAN]["woke"] == sent["seen"][CLEAN]["put"] == 0
    assert [each["step"] for each in sent["frames"]] == [0, 1, 2]
    assert sent["frames"][0]["macs"] == found.seen[CLEAN].macs


def test_halting_depth_is_told_of_a_vit_alone_and_a_long_run_is_thinned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trial, found = read(question(CHURCH | {"model": "vit_imagenette_avit", "steps": 7}, None))
    monkeypatch.setattr(messages, "MOST_FRAMES", 5)
    sent = message(trial, found)
    for name, seen in found.seen.items():
        told = sent["seen"][name]
        assert told["depth"] == seen.keep.sum(0).tolist()
        assert sum(told["halts"]) == sent["tokens"]
        assert told["halts"][-1] == int(seen.keep[-1].sum())
    steps = [each["step"] for each in sent["frames"]]
    assert (len(steps), steps[0], steps[-1]) == (5, 0, 7)
    assert {b - a for a, b in pairwise(steps)} == {1, 2}


def test_a_budget_of_zero_changes_nothing() -> None:
    trial, found = read(question(CHURCH | {"eps": 0}, None))
    assert found.linf == found.steps == found.asked == 0
    for name in (ATTACKED, NOISE):
        assert torch.equal(found.pixels[name], found.pixels[CLEAN])
        assert found.seen[name].macs == found.seen[CLEAN].macs
    assert message(trial, found)["seen"][ATTACKED]["gap"] == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"eps": 33}, "cannot be 33"),
        ({"eps": 4.5}, "a whole number"),
        ({"steps": 0}, "cannot be 0"),
        ({"attack": None}, "no attack"),
        ({"attack": "patch", "model": "vit_imagenette_pgd_at"}, "ships for this model"),
        ({"model": "resnet_imagenette"}, "computes all of its tokens"),
        ({"model": "nonsense"}, "nonsense"),
        ({"source": ""}, "no picture"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(change: dict[str, Any], words: str) -> None:
    with pytest.raises(EngineError) as refused:
        question(CHURCH | change, None)
    assert words in f"{refused.value.sentence} {refused.value.hint}"


def test_every_model_on_offer_can_be_asked_and_says_how_it_loses_tokens() -> None:
    models = offered(None)
    names = [name for _, name in models]
    assert {"vit_imagenette_avit", "vit_imagenette_adavit", "vit_imagenette"} <= {*names}
    assert not {"resnet_imagenette", "pit_imagenette", "visformer_imagenette"} & {*names}
    for title, name in models:
        assert ("with ATS" in title) == (
            name not in ("vit_imagenette_avit", "vit_imagenette_adavit")
        )
        for _, attack in attacks(name, None):
            question(CHURCH | {"model": name, "attack": attack}, None)


def test_two_runs_are_the_same_choice_only_where_they_would_be_the_same_run() -> None:
    one = chosen(CHURCH, None)
    assert one == question(CHURCH, None).choice
    for change in (
        {"source": "sample:golf_ball"},
        {"model": "vit_imagenette"},
        {"attack": "sponge"},
        {"eps": 0},
        {"steps": 3},
        {"keep": False},
    ):
        assert chosen(CHURCH | change, None) != one, change
    slowformer = CHURCH | {"attack": "slowformer"}
    assert chosen(slowformer | {"eps": 0}, None) == chosen(slowformer, None)
    assert question(slowformer | {"eps": 0}, None).settings.eps, "a patch has no budget to be 0"
    universal = CHURCH | {"attack": "universal"}
    assert chosen(universal | {"steps": 7, "keep": False}, None) == chosen(universal, None)


def test_files_say_what_they_are_of(church: tuple[Trial, Report]) -> None:
    trial, found = church
    files = message(trial, found)["files"]
    assert files["stem"] == "church-vit_imagenette_adavit-desparsify-eps4-seed0"
    data = json.loads(files["json"])
    digest = hashlib.sha256(load_sample("church").convert("RGB").tobytes()).hexdigest()
    assert data["picture"]["sha256"] == digest
    assert data["pictures"]["attacked"]["macs"] == found.seen[ATTACKED].macs
    image = Image.open(io.BytesIO(base64.b64decode(files["png"])))
    saved = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(*image.size, 3)
    assert torch.equal(saved.permute(2, 0, 1), found.pixels[ATTACKED])
    assert json.loads(image.text["picture"])["sha256"] == digest  # pyright: ignore[reportAttributeAccessIssue]
    lines = list(csv.DictReader(io.StringIO(files["csv"])))
    assert [int(each["tokens_clean"]) for each in lines] == found.seen[CLEAN].tokens.tolist()


def test_without_a_study_its_sections_name_the_command_that_makes_it(
    church: tuple[Trial, Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sections, "study", lambda victim: None)
    sent = message(*church)
    words, chart = sections.curve(sent)
    assert chart is None
    assert "claims desparsify FOLDER --model vit_imagenette_adavit" in words
    assert sections.bounds(sent) == sections.detector(sent) == ("", None)
    assert "when the run has come to its end" in sections.times(sent)[0]


def test_a_study_is_drawn_as_it_was_found(
    church: tuple[Trial, Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sections, "study", lambda victim: STUDY)
    sent = message(*church)
    words, chart = sections.curve(sent)
    assert "gone by 4/255; noise of that size takes 3 %" in words
    lines = {each.name: each for each in chart.data if each.name}
    assert list(lines["attacked"].y) == [20, 80]
    assert list(lines["attacked"].x) == [1, 4]
    words, chart = sections.bounds(sent)
    lines = {each.name: each for each in chart.data if each.name}
    assert list(lines["ceiling"].y) == [0.2, 0.3]
    assert list(lines["attacked, bound known"].x) == [80]
    assert list(lines["clean accuracy"].y) == [80, 89]
    assert "calibrated cap" in words
    words, chart = sections.detector(sent)
    assert "flag above 0.3 GMACs" in words
    assert (chart.data[2].x[0], chart.data[2].y[0]) == (0.05, 0.9)


def about(value: float) -> Estimate:
    return Estimate(value, value - 1, value + 1)


def rate(value: float) -> Rate:
    return Rate.of(about(value), 50)


STUDY = Findings(
    About("m", "AdaViT", 50, 10, 20, 16 / 255, 4 / 255, 100, 40, "CPU", 0.44, rate(90), rate(91)),
    (),
    (
        Point(1 / 255, about(20), about(1), rate(99)),
        Point(4 / 255, about(80), about(3), rate(98)),
    ),
    (),
    (
        Bounded(0.5, 0.2, about(0.15), about(0.19), None, rate(-10), rate(80), rate(75), None),
        Bounded(
            0.8, 0.3, about(0.2), about(0.28), about(0.29), rate(-1), rate(98), rate(95), rate(94)
        ),
    ),
    (Defended("calibrated cap", about(12), about(0.2), about(0.21), rate(-2), rate(90)),),
    Detected((0.0, 0.5, 1.0), (0.0, 0.9, 1.0), about(0.9), 0.05, 0.3e9, rate(90), rate(5)),
)


@pytest.mark.parametrize("damage", ["cut", "list"])
def test_a_damaged_report_is_said_and_the_page_starts(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = json.dumps({"made_of": first.made_of(), "message": "x" * 200})
    content = {"cut": whole[: len(whole) // 2], "list": "[1]"}[damage]
    (tmp_path / first.RESULT.file).write_text(content, encoding="utf-8")
    monkeypatch.setattr(stored, "FOLDER", tmp_path)
    earlier, line = page.at_first(None)
    assert earlier is None
    assert "could not be read; press Run" in line
