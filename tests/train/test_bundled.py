"""The finished models in the repository are what their cards say."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from engine.model import zoo
from engine.model.architectures import build
from engine.model.sparse import trained_sparsely
from engine.train import RECIPES
from engine.train.card import read_weights

MODELS = Path(__file__).parents[2] / "assets" / "models"
CARDS = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted(MODELS.glob("*.json"))
}


def network(name: str) -> nn.Module:
    backbone, told = build(name), CARDS[name].get("sparsifier")
    return trained_sparsely(backbone, told) if told else backbone


def test_the_base_models_are_there():
    assert {"vit_imagenette", "resnet_imagenette", "visformer_imagenette"} <= CARDS.keys()


@pytest.mark.parametrize("name", CARDS)
def test_a_file_is_the_one_its_card_describes(name: str):
    card, path = CARDS[name], MODELS / f"{name}.safetensors"
    content = path.read_bytes()
    assert hashlib.sha256(content).hexdigest() == card["sha256"]
    assert len(content) == card["bytes"] < 10_000_000
    assert card["recipe"]["name"].removesuffix("_aas") in RECIPES
    assert card["measured"]["val_images"] > 1000
    model = network(name)
    model.load_state_dict(read_weights(MODELS, name))
    assert sum(p.numel() for p in model.parameters()) == card["params"]
    with torch.no_grad():
        logits = model.eval()(torch.zeros(1, 3, card["input_size"], card["input_size"]))
    assert logits.shape == (1, len(card["classes"]))
    assert logits.isfinite().all()


def test_a_model_of_ones_own_is_a_victim_from_a_weights_folder(tmp_path: Path):
    name, card = "vit_imagenette_mine", CARDS["vit_imagenette"]
    card = {**card, "name": name, "file": f"{name}.safetensors"}
    (tmp_path / f"{name}.json").write_text(json.dumps(card), encoding="utf-8")
    shutil.copy(MODELS / "vit_imagenette.safetensors", tmp_path / f"{name}.safetensors")
    victim, picture = zoo.load(name, tmp_path), torch.zeros(1, 3, 160, 160)
    assert victim.spec.classes == zoo.load("vit_imagenette").spec.classes
    assert torch.equal(victim.logits(picture), zoo.load("vit_imagenette").logits(picture))
