"""The zoo: what is listed loads, what does not match its card is refused, offline is a sentence."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from engine.core.errors import CorruptWeights, UnknownName, WeightsUnavailable
from engine.model import hub, zoo

SMALL = "vit_tiny_patch16_224"


@pytest.fixture
def local(tmp_path: Path) -> Path:
    model = timm.create_model(SMALL, pretrained=False)
    save_file(model.state_dict(), tmp_path / f"{SMALL}.safetensors")
    return tmp_path


def test_bundled_models_come_first_and_load() -> None:
    cards = zoo.cards()
    assert cards[0].name == "vit_imagenette"
    bundled = [each for each in cards if each.source == "bundled"]
    for each in bundled:
        victim = zoo.load(each.name)
        assert len(victim.spec.classes) == each.classes
        assert not any(p.requires_grad for p in victim.module.parameters())
        assert not victim.module.training
        assert each.bytes < 10_000_000
        x = torch.rand(1, 3, each.input_size, each.input_size)
        assert victim.logits(x).shape == (1, each.classes)


def test_a_file_that_differs_from_its_card_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = zoo.cards()[0]
    shutil.copy(zoo.BUNDLED / card.details["file"], tmp_path / card.details["file"])
    weights = tmp_path / card.details["file"]
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    monkeypatch.setattr(zoo, "BUNDLED", tmp_path)
    zoo.unload()
    with pytest.raises(CorruptWeights, match="SHA-256"):
        zoo.load(card.name)


def test_cards_hold_measured_numbers() -> None:
    for path in zoo.BUNDLED.glob("*.json"):
        data = json.loads(path.read_text(encoding="utf-8"))
        assert 0 < data["measured"]["val_accuracy"] <= 1
        assert data["measured"]["val_images"] > 0


def test_local_weights_need_no_hub(local: Path) -> None:
    victim = zoo.load(SMALL, local)
    assert zoo.card(SMALL, local).source == "local"
    assert victim.spec.mean == (0.5, 0.5, 0.5)
    assert len(victim.spec.classes) == 1000
    assert len(set(victim.spec.classes)) == 1000


def test_local_weights_of_another_model_are_refused(local: Path) -> None:
    shutil.copy(local / f"{SMALL}.safetensors", local / "deit_small_patch16_224.safetensors")
    with pytest.raises(CorruptWeights):
        zoo.load("deit_small_patch16_224", local)


def test_a_missing_weights_folder_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable, match="does not exist"):
        zoo.cards(tmp_path / "nowhere")


def test_offline_the_hub_is_a_kind_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "cached", lambda repo: None)
    monkeypatch.setattr(hub, "reachable", lambda: False)
    with pytest.raises(WeightsUnavailable, match="cannot be reached") as caught:
        zoo.load("pit_ti_224")
    assert "bundled" in caught.value.hint


def test_any_timm_name_has_a_card_and_nonsense_has_none() -> None:
    assert zoo.card("levit_128s").source == "hub"
    with pytest.raises(UnknownName, match="no model called"):
        zoo.card("vit_of_my_dreams")
