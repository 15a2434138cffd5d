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
from demo.cost.trial import Trial, chosen, drive, trial
from demo.kit import stored
from demo.lab import views
from engine import studio
from engine.attack.catalog import recipe
from engine.core.errors import EngineError
from engine.data.samples import load_sample
from engine.papers.quant.compare import ATTACKED, CLEAN, NOISE, Report

CHURCH = {
    "source": "sample:church",
    "model": "vit_imagenette",
    "attack": "pgd",
    "eps": 4,
    "steps": 1,
    "calibrate": True,
    "share": 0.5,
    "threshold": 6.0,
}


def counted(asked: Trial) -> Report:
    """The run up to its first report, which holds all counts."""
    for event in drive(asked):
        if isinstance(event, Report):
            return event
    raise AssertionError("no report")


def pixels(png: str) -> Tensor:
    image = Image.open(io.BytesIO(base64.b64decode(png)))
    return torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(*image.size, 3)


@pytest.fixture(scope="module")
def church() -> tuple[Trial, Report]:
    asked = trial(CHURCH, None, "")
    return asked, counted(asked)


@pytest.mark.parametrize("model", ["vit_imagenette", "pit_imagenette", "visformer_imagenette"])
def test_lab_and_cost_say_the_same_threshold_and_count_of_one_picture(model: str) -> None:
    run = studio.Run(
        studio.Request(load_sample("church"), model, recipe("mifgsm", eps=4 / 255, steps=1))
    )
    run.advance()
    lab = views.payload(run.result(), "x")["outliers"]
    cost = counted(trial(CHURCH | {"model": model}, None, ""))
    assert cost.threshold.value == lab["default"]
    assert cost.threshold.pictures == lab["set_by"]["pictures"]
    assert sum(layer.shape.k for layer in cost.layers) == sum(lab["widths"])
    assert len(cost.layers) == len(lab["layers"])
    clean = lab["frames"][0]
    raw = base64.b64decode(clean["peaks"]["data"])
    peaks = torch.frombuffer(bytearray(raw), dtype=torch.float16).float()
    assert int((peaks >= lab["default"]).sum()) == cost.seen[CLEAN].float_columns


def test_a_budget_of_zero_changes_nothing() -> None:
    found = counted(trial(CHURCH | {"eps": 0}, None, ""))
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
        ({"calibrate": False, "threshold": float("nan")}, "0.1 to 100"),
        ({"model": "nonsense"}, "nonsense"),
        ({"source": ""}, "no picture"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(change: dict[str, Any], words: str) -> None:
    with pytest.raises(EngineError) as refused:
        trial(CHURCH | change, None, "")
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
    asked = trial(CHURCH | {"attack": "count"}, None, "")
    found = counted(asked)
    data = json.loads(message(asked, found)["files"]["json"])
    assert data["attack"]["settings"]["threshold"] == found.threshold.value


def test_two_runs_are_the_same_choice_only_where_they_would_be_the_same_run() -> None:
    one = chosen(CHURCH, None)
    assert one == trial(CHURCH, None, "").choice
    for change in (
        {"source": "sample:golf_ball"},
        {"model": "pit_imagenette"},
        {"attack": "sponge"},
        {"eps": 0},
        {"steps": 2},
        {"share": 1.0},
        {"calibrate": False},
    ):
        assert chosen(CHURCH | change, None) != one, change
    assert chosen(CHURCH | {"threshold": 3.0}, None) == one  # not what the run goes by
    universal = CHURCH | {"attack": "universal"}
    assert chosen(universal | {"steps": 7}, None) == chosen(universal, None)
    for name in ("a/church.png", "b/church.png"):
        assert chosen(CHURCH | {"source": name}, None)["picture"] == "church.png"


@pytest.mark.parametrize("damage", ["cut", "empty", "list", "no message", "text", "bytes"])
def test_a_damaged_report_is_said_and_the_page_starts(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = first.question()
    assert asked is not None
    whole = json.dumps({"made_of": first.made_of(asked), "message": "x" * 200})
    content: bytes = {
        "cut": whole[: len(whole) // 2].encode(),
        "empty": b"",
        "list": b"[1]",
        "no message": json.dumps({"made_of": first.made_of(asked)}).encode(),
        "text": whole.encode(),
        "bytes": b"\xff\xfe" + whole.encode(),
    }[damage]
    (tmp_path / first.FILE).write_bytes(content)
    monkeypatch.setattr(stored, "FOLDER", tmp_path)
    earlier, line = page.at_first(None)
    assert earlier is None
    assert "could not be read; press Run" in line
    (tmp_path / first.FILE).unlink()
    assert page.at_first(None) == (None, page.status.line(page.status.EMPTY))
