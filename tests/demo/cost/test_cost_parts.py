"""What the Cost page shows, without a browser: its numbers are the Lab's, its files say what they are."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from demo.cost import first, page
from demo.cost.message import message
from demo.cost.sections import defences, detector, growth, study, times
from demo.cost.trial import ABSOLUTE, CALIBRATE, Question, Trial, chosen, drive, question
from demo.kit import stored
from demo.lab import views
from engine import studio
from engine.attack.catalog import recipe
from engine.core.errors import EngineError
from engine.data.samples import load_sample
from engine.papers.quant.compare import ATTACKED, CLEAN, NOISE, Report
from engine.papers.quant.findings import Findings

CHURCH = {
    "source": "sample:church",
    "model": "vit_imagenette",
    "attack": "pgd",
    "eps": 4,
    "steps": 1,
    "calibrate": CALIBRATE,
    "share": 0.5,
    "threshold": 6.0,
}


def counted(asked: Question) -> tuple[Trial, Report]:
    """The run up to its first report, which holds all counts."""
    trial = Trial(asked)
    for event in drive(trial):
        if isinstance(event, Report):
            return trial, event
    raise AssertionError("no report")


def pixels(png: str) -> Tensor:
    image = Image.open(io.BytesIO(base64.b64decode(png)))
    return torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(*image.size, 3)


@pytest.fixture(scope="module")
def church() -> tuple[Trial, Report]:
    return counted(question(CHURCH, None))


@pytest.mark.parametrize("model", ["vit_imagenette", "pit_imagenette", "visformer_imagenette"])
def test_lab_and_cost_say_the_same_threshold_and_count_of_one_picture(model: str) -> None:
    run = studio.Run(
        studio.Request(load_sample("church"), model, recipe("mifgsm", eps=4 / 255, steps=1))
    )
    run.advance()
    lab = views.payload(run.result(), "x")["outliers"]
    trial, cost = counted(question(CHURCH | {"model": model}, None))
    assert cost.threshold.value == lab["thresholds"][lab["default"]]
    assert f"{cost.threshold.pictures} clean sample pictures" in lab["origin"]
    assert message(trial, cost)["total"] == lab["total"]
    assert len(cost.layers) == len(lab["layers"])
    assert lab["frames"][0]["columns"][lab["default"]] == cost.seen[CLEAN].float_columns


def test_a_budget_of_zero_changes_nothing() -> None:
    _, found = counted(question(CHURCH | {"eps": 0}, None))
    assert found.linf == found.steps == found.asked == 0
    clean = found.seen[CLEAN]
    assert found.columns(CLEAN) > 0
    for name in (ATTACKED, NOISE):
        assert torch.equal(found.seen[name].pixels, clean.pixels)
        assert found.columns(name) == found.columns(CLEAN)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"eps": -1}, "cannot be -1"),
        ({"eps": 33}, "cannot be 33"),
        ({"eps": 4.5}, "a whole number"),
        ({"eps": 0, "steps": 0}, "Steps cannot be 0"),
        ({"steps": 500}, "500"),
        ({"steps": None}, "a whole number"),
        ({"share": 0}, "above 0"),
        ({"calibrate": ABSOLUTE, "threshold": float("nan")}, "0.1 to 100"),
        ({"model": "nonsense"}, "nonsense"),
        ({"source": ""}, "no picture"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(change: dict[str, Any], words: str) -> None:
    with pytest.raises(EngineError) as refused:
        question(CHURCH | change, None)
    assert words in f"{refused.value.sentence} {refused.value.hint}"


def test_files_say_what_they_are_of(church: tuple[Trial, Report]) -> None:
    asked, found = church
    sent = message(asked, found)
    files = sent["files"]
    assert files["stem"] == "church-vit_imagenette-pgd-eps4-seed0"
    data = json.loads(files["json"])
    image = load_sample("church")
    digest = hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()
    assert data["picture"] == {
        "name": "church",
        "width": image.width,
        "height": image.height,
        "sha256": digest,
    }
    assert data["threshold"]["value"] == found.threshold.value
    assert data["attack"]["settings"]["eps"] == 4 / 255
    assert (data["seed"], data["linf_255"], data["steps"]) == (
        0,
        found.linf,
        {"done": 1, "asked": 1},
    )
    attacked = data["pictures"]["attacked"]
    assert attacked["outlier_columns_int8_model"] == found.columns(ATTACKED)
    saved = pixels(files["png"])
    assert torch.equal(saved.permute(2, 0, 1), found.seen[ATTACKED].pixels)
    assert hashlib.sha256(bytes(saved.numpy().tobytes())).hexdigest() == attacked["pixels_sha256"]
    text = Image.open(io.BytesIO(base64.b64decode(files["png"]))).text  # pyright: ignore[reportAttributeAccessIssue]
    assert json.loads(text["picture"])["sha256"] == digest
    assert json.loads(text["threshold"]) == data["threshold"]
    lines = list(csv.DictReader(io.StringIO(files["csv"])))
    assert len(lines) == len(found.layers)
    assert {line["picture_sha256"] for line in lines} == {digest}
    assert {float(line["threshold"]) for line in lines} == {found.threshold.value}
    for name, words in ((CLEAN, "clean"), (ATTACKED, "attacked"), (NOISE, "noise")):
        total = sum(int(line[f"outlier_columns_{words}"]) for line in lines)
        assert total == found.columns(name)


def test_quantattack_is_exported_with_the_threshold_that_it_aimed_at() -> None:
    trial, found = counted(question(CHURCH | {"attack": "count"}, None))
    data = json.loads(message(trial, found)["files"]["json"])
    assert data["attack"]["settings"]["threshold"] == found.threshold.value


def test_two_runs_are_the_same_choice_only_where_they_would_be_the_same_run() -> None:
    one = chosen(CHURCH, None)
    assert one == question(CHURCH, None).choice
    for change in (
        {"source": "sample:golf_ball"},
        {"model": "pit_imagenette"},
        {"attack": "sponge"},
        {"eps": 0},
        {"steps": 2},
        {"share": 1.0},
        {"calibrate": ABSOLUTE},
    ):
        assert chosen(CHURCH | change, None) != one, change
    assert chosen(CHURCH | {"threshold": 3.0}, None) == one  # not what the run goes by
    universal = CHURCH | {"attack": "universal"}
    assert chosen(universal | {"steps": 7}, None) == chosen(universal, None)
    for name in ("a/church.png", "b/church.png"):
        assert chosen(CHURCH | {"source": name}, None)["picture"] == "church.png"


def test_the_message_holds_what_the_report_says_at_every_threshold(
    church: tuple[Trial, Report],
) -> None:
    trial, found = church
    sent = message(trial, found)
    moved, at = sent["sweep"], sent["sweep"]["at"]
    assert moved["thresholds"][at] == found.threshold.value
    for name in found.seen:
        assert moved["totals"][name][at] == found.columns(name)
        assert moved["hf"][name][at] == found.hf_columns(name)
        assert moved["shares"][name][at] == pytest.approx(found.share(name), rel=1e-3)
    assert moved["ratio"][at] == pytest.approx(found.columns(ATTACKED) / found.columns(CLEAN), 1e-3)
    for batch in moved["batches"]:
        assert batch[ATTACKED][at] == found.batch_columns(batch["size"], ATTACKED)
    assert sent["kept"] == (found.seen[CLEAN].answer == found.seen[ATTACKED].answer)


def test_sections_say_what_is_known_and_draw_nothing_else(church: tuple[Trial, Report]) -> None:
    sent = message(*church)
    words, chart = times(sent)
    assert (chart, "when the run has come to its end" in words) == (None, True)
    words, chart = growth(sent)
    assert chart is not None
    assert list(chart.data[0].y) == [columns for _, columns in church[1].path]
    words, chart = growth(sent | {"asked": 0})
    assert (chart, "budget of 0" in words) == (None, True)
    words, chart = growth(sent | {"path": sent["path"][:1]})
    assert (chart, "takes one addition" in words) == (None, True)
    words, chart = detector(sent | {"model": {"name": "none", "title": "None"}})
    assert (chart, "there is none" in words) == (None, True)
    assert "There is no study for None" in defences(
        sent
        | {"model": {"name": "none", "title": "None"}}
        | {"defences": [{"name": "none", "clean": 0.1, "attacked": 0.2, "kept": True, "error": 0}]}
    )


def test_sections_tell_today_s_times_from_those_of_another_day() -> None:
    earlier = first.stored()
    assert earlier is not None
    spent = earlier["times"]
    words, chart = times(earlier)
    assert "where this report was made" in words
    now, same = times({**earlier, "earlier": False})
    assert "on this machine" in now
    assert chart == same
    ratio = spent["adversarial"]["median"] / spent["clean"]["median"]
    assert f"Attacked over clean: ×{ratio:.2f}" in words
    assert chart is not None
    assert list(chart.data[0].x) == [
        spent[n]["median"] for n in ("float", "clean", "noise", ATTACKED)
    ]


def test_a_study_is_drawn_with_its_intervals_and_its_limit_in_use() -> None:
    words, chart = detector({"model": {"name": "vit_imagenette"}})
    known = study("vit_imagenette")
    assert isinstance(known, Findings)
    assert chart is not None
    used = chart.data[2]
    assert (used.x[0], used.y[0]) == (
        known.detected.flagged.value / 100,
        known.detected.caught.value / 100,
    )
    assert f"flag above {known.detected.limit:g} columns" in words


@pytest.mark.parametrize("damage", ["cut", "empty", "list", "no message", "text", "bytes"])
def test_a_damaged_report_is_said_and_the_page_starts(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = json.dumps({"made_of": first.made_of(), "message": "x" * 200})
    content: bytes = {
        "cut": whole[: len(whole) // 2].encode(),
        "empty": b"",
        "list": b"[1]",
        "no message": json.dumps({"made_of": first.made_of()}).encode(),
        "text": whole.encode(),
        "bytes": b"\xff\xfe" + whole.encode(),
    }[damage]
    (tmp_path / first.RESULT.file).write_bytes(content)
    monkeypatch.setattr(stored, "FOLDER", tmp_path)
    earlier, line = page.at_first(None)
    assert earlier is None
    assert "could not be read; press Run" in line
    (tmp_path / first.RESULT.file).unlink()
    assert page.at_first(None) == (None, page.status.line(page.status.EMPTY))
