"""What the page offers: only models that can be had, only comparable ones, sizes before a download."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import timm
from huggingface_hub import constants
from safetensors.torch import save_file

from demo.kit import models
from engine.core.limits import megabytes
from engine.model import hub, zoo

TINY = "vit_tiny_patch16_224"
BUNDLED = {each.name for each in zoo.cards() if each.source == "bundled"}


@pytest.fixture(autouse=True)
def nothing_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(hub, "why_not", lambda: pytest.fail("the network was asked"))
    monkeypatch.delenv(zoo.WEIGHTS_VARIABLE, raising=False)


@pytest.fixture
def local(tmp_path: Path) -> Path:
    folder = tmp_path / "weights"
    folder.mkdir()
    save_file(timm.create_model(TINY).state_dict(), folder / f"{TINY}.safetensors")
    return folder


def cache(name: str) -> None:
    """Put something into the hub's cache where that model's weights would be."""
    repo = zoo.repository(zoo.card(name)).replace("/", "--")
    home = Path(constants.HF_HUB_CACHE) / f"models--{repo}"
    for path, content in (("refs/main", "c" * 40), (f"snapshots/{'c' * 40}/{hub.FILE}", "x")):
        (home / path).parent.mkdir(parents=True)
        (home / path).write_text(content, encoding="utf-8")


def test_without_the_hub_only_what_is_here_is_listed(local: Path) -> None:
    assert {name for _, name in models.choices(None)} == BUNDLED
    assert {name for _, name in models.choices(local)} == BUNDLED | {TINY}


def test_with_the_hub_all_are_listed_and_say_their_size() -> None:
    labels = {name: label for label, name in models.choices(None, reachable=True)}
    assert set(labels) == BUNDLED | set(zoo.OFFERS)
    assert labels[TINY] == "Model hub  ·  ViT-Tiny  ·  22.9 MB"
    assert labels["vit_base_patch16_224"].endswith("ViT-Base  ·  346 MB")
    assert "MB" not in labels["vit_imagenette"]


def test_what_was_fetched_before_stays_listed_without_the_hub() -> None:
    cache(TINY)
    assert ("Model hub  ·  ViT-Tiny", TINY) in models.choices(None)


def test_the_note_counts_what_is_elsewhere(local: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert models.hub_note(None, False) == (
        "16 more models are on the Hugging Face hub, which cannot be reached from here."
    )
    assert models.hub_note(local, True).startswith("15 more models can be fetched")
    monkeypatch.setattr(zoo, "OFFERS", {"pit_ti_224": zoo.OFFERS["pit_ti_224"]})
    assert models.hub_note(None, False).startswith("1 more model is on")
    cache("pit_ti_224")
    assert models.hub_note(None, False) == ""


def test_a_thousand_classes_are_one_click_away_where_they_can_be_had(local: Path) -> None:
    assert models.imagenet(None, False) is None
    assert models.imagenet(None, True) == (
        TINY,
        "Use ViT-Tiny: 1,000 classes, 22.9 MB to fetch",
    )
    here = (TINY, "Use ViT-Tiny: 1,000 classes")
    assert models.imagenet(local, False) == models.imagenet(local, True) == here
    cache("pit_ti_224")
    assert models.imagenet(None, True) == ("pit_ti_224", "Use PiT-Tiny: 1,000 classes")


def test_only_models_with_the_same_classes_are_compared(local: Path) -> None:
    shutil.copy(local / f"{TINY}.safetensors", local / "deit_tiny_patch16_224.safetensors")
    assert models.others(TINY, local) == [("DeiT-Tiny", "deit_tiny_patch16_224")]
    assert {name for _, name in models.others("vit_imagenette", local)} == BUNDLED - {
        "vit_imagenette"
    }
    assert models.others("resnet50", local) == [
        ("DeiT-Tiny", "deit_tiny_patch16_224"),
        ("ViT-Tiny", TINY),
    ]
    assert models.others("no_such_model", local) == []


def test_a_card_tells_parameters_and_megabytes_before_the_download() -> None:
    assert "5.7 M parameters · 22.9 MB" in models.card(TINY, None)
    assert "Fetched from the model hub" in models.card(TINY, None)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("vit_tiny_patch16_224.nonsense", "There is no model called"),
        ("vit_base_patch14_dinov2", "has no classifier head"),
    ],
)
def test_a_card_of_what_cannot_be_attacked_is_the_sentence_why(name: str, sentence: str) -> None:
    assert sentence in models.card(name, None)
    assert models.classes(name, None) == []


def test_megabytes_are_said_as_people_say_them() -> None:
    assert [megabytes(n) for n in (9e4, 22869664, 346270624, 18e9)] == [
        "0.1 MB",
        "22.9 MB",
        "346 MB",
        "18,000 MB",
    ]
