"""The headless evaluation over a folder, through the real zoo with local random weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from engine.alter.catalog import parse_stack
from engine.attack.catalog import recipe
from engine.core.errors import BadTask
from engine.evaluate.evaluate import SCHEMA, Evaluation, evaluate, folder_pictures, line, summary
from engine.evaluate.interval import Proportion
from engine.evaluate.progress import Progress
from engine.model import zoo


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    for name in ("test_vit", "test_resnet"):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            module = timm.create_model(name)
        save_file(module.state_dict(), folder / f"{name}.safetensors")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pictures")
    gen = torch.Generator().manual_seed(0)
    for name in ("golf_ball", "n03888257", "Church"):
        (root / name).mkdir()
        for index in range(2):
            pixels = torch.randint(0, 256, (40, 50, 3), generator=gen, dtype=torch.uint8)
            Image.fromarray(pixels.numpy()).save(root / name / f"{index}.png")
    return root


def finish(*args: object, **rest: object) -> Evaluation:
    *events, last = evaluate(*args, **rest)  # pyright: ignore
    assert all(isinstance(each, Progress) for each in events)
    assert isinstance(last, Evaluation)
    return last


def test_a_folder_is_evaluated_on_source_and_targets(folder: Path, weights: Path) -> None:
    chosen = recipe("mifgsm", steps=1)
    done = finish(folder, ["test_vit"], [chosen], ["test_resnet"], batch=4, weights=weights)
    assert [(c.source, c.target) for c in done.matrix.cells] == [
        ("test_vit", "test_vit"),
        ("test_vit", "test_resnet"),
    ]
    plain = json.loads(json.dumps(summary(done), allow_nan=False))
    assert plain["schema"] == SCHEMA
    assert plain["images"] == 6
    assert [each["name"] for each in plain["models"]] == ["test_vit", "test_resnet"]
    for each, cell in zip(plain["results"], done.matrix.cells, strict=True):
        assert each["robust_accuracy"]["of"] == 6
        assert each["knobs"]["eps"] == chosen.eps
        low, high = Proportion(cell.attacked.count, 6).interval
        assert (each["robust_accuracy"]["low"], each["robust_accuracy"]["high"]) == (
            low,
            high,
        )
    assert plain["results"][0]["white_box"] is True


def test_a_limit_takes_the_beginning_of_the_same_order(folder: Path, weights: Path) -> None:
    victim = zoo.load("test_vit", weights)
    every = folder_pictures(folder, victim, seed=3)
    assert folder_pictures(folder, victim, 3, seed=3) == every[:3]
    assert {each.label for each in every[:3]} == {"golf ball", "parachute", "church"}


def test_classes_a_target_lacks_are_named(folder: Path, weights: Path) -> None:
    target = "vit_imagenette"
    if target not in {card.name for card in zoo.cards(weights)}:
        pytest.skip("the bundled model is not there")
    (folder.parent / "zebras" / "zebra").mkdir(parents=True)
    Image.new("RGB", (32, 32)).save(folder.parent / "zebras" / "zebra" / "0.png")
    with pytest.raises(BadTask, match="has no class “zebra”"):
        finish(folder.parent / "zebras", ["test_vit"], [recipe("fgsm")], [target], weights=weights)


def test_what_stands_on_a_model_is_named_and_judged(folder: Path, weights: Path) -> None:
    done = finish(
        folder,
        ["test_vit"],
        [recipe("quantattack", steps=1)],
        batch=4,
        limit=3,
        weights=weights,
        alter=parse_stack("int8:threshold=4"),
        craft_on=parse_stack(""),
    )
    plain = json.loads(json.dumps(summary(done), allow_nan=False))
    (each,) = plain["results"]
    assert (
        each["source"]
        == each["target"]
        == plain["models"][0]["name"]
        == "test_vit|int8:threshold=4"
    )
    assert plain["crafted_on"] == "the bare models"
    assert each["success_means"] == "cost up, answer kept"
    (cell,) = done.matrix.cells
    assert each["attack_success_rate"]["of"] == cell.clean.count
    assert "cost up, answer kept" in line(cell)
