"""The zoo: what is listed loads, what does not match its card is refused, offline is a sentence."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from timm.models import get_pretrained_cfg

from engine.core.errors import (
    CorruptWeights,
    EngineError,
    UnknownName,
    UnsupportedModel,
    WeightsUnavailable,
)
from engine.model import hub, zoo

SMALL = "vit_tiny_patch16_224"


@pytest.fixture
def local(tmp_path: Path) -> Path:
    model = timm.create_model(SMALL, pretrained=False)
    save_file(model.state_dict(), tmp_path / f"{SMALL}.safetensors")
    return tmp_path


def bundled(name: str, folder: Path) -> None:
    for suffix in (".json", ".safetensors"):
        shutil.copy(zoo.BUNDLED / f"{name}{suffix}", folder)


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
    bundled(card.name, tmp_path)
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
    monkeypatch.setattr(hub, "why_not", lambda: "The model hub cannot be reached: a storm.")
    with pytest.raises(WeightsUnavailable, match="and the model hub cannot be reached") as caught:
        zoo.load("pit_ti_224")
    assert "bundled" in caught.value.hint


def test_any_timm_name_has_a_card_and_nonsense_has_none() -> None:
    assert zoo.card("levit_128s").source == "hub"
    with pytest.raises(UnknownName, match="no model called"):
        zoo.card("vit_of_my_dreams")


@pytest.mark.parametrize("offer", [*zoo.HUB[:1], *zoo.HUB[-3:]], ids=lambda offer: offer.name)
def test_a_hub_model_s_size_is_known_before_it_is_fetched(offer: zoo.Offer) -> None:
    with torch.device("meta"):
        module = timm.create_model(offer.name)
    assert offer.params == sum(each.numel() for each in module.parameters())
    assert offer.bytes == sum(each.nbytes for each in module.state_dict().values())
    card = zoo.card(offer.name)
    assert (card.params, card.bytes) == (offer.params, offer.bytes)


def test_an_invalid_tag_is_a_sentence_that_lists_the_tags_there_are() -> None:
    for ask in (zoo.card, zoo.load):
        with pytest.raises(UnknownName, match=r"no model called “vit_\w+\.nonsense”") as e:
            ask("vit_tiny_patch16_224.nonsense")
        assert "vit_tiny_patch16_224.augreg_in21k" in e.value.hint


def test_what_has_no_classifier_is_refused_before_it_is_fetched() -> None:
    for name in ("vit_base_patch14_dinov2", "vit_base_patch32_clip_224.openai"):
        with pytest.raises(UnsupportedModel, match=f"{name} has no classifier head"):
            zoo.card(name)


def test_every_image_tower_of_clip_counts_its_embedding_and_no_classifier_does() -> None:
    for name in timm.list_models(pretrained=True):
        classes = get_pretrained_cfg(name).num_classes
        tower = "clip" in name or "_pe_core_" in name
        assert (classes in zoo.EMBEDDINGS) <= tower, name
        if tower and "ft_in" not in name:
            assert not classes or classes in zoo.EMBEDDINGS, name


Spoil = Callable[[Path], object]
GIT_LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 22883344\n"
SPOILT: Mapping[str, tuple[Spoil, str]] = {
    "a link to nothing": (
        lambda path: (path.unlink(), path.symlink_to("nowhere")),
        "is a link that leads nowhere",
    ),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:-9]), "is cut off"),
    "cut in the header": (lambda path: path.write_bytes(path.read_bytes()[:99]), "is cut off"),
    "empty": (lambda path: path.write_bytes(b""), "is empty"),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), "cannot be read"),
    "an LFS pointer": (
        lambda path: path.write_text(GIT_LFS, encoding="utf-8"),
        "is a Git LFS pointer",
    ),
    "a pickle": (lambda path: path.write_bytes(pickle.dumps({"a": 1})), "is a pickle"),
    "a torch file": (lambda path: torch.save({"a": torch.zeros(9)}, path), "is a pickle"),
}


@pytest.mark.parametrize(("spoil", "words"), SPOILT.values(), ids=SPOILT)
def test_a_bad_file_is_named_and_the_others_go_on(local: Path, spoil: Spoil, words: str) -> None:
    bad = local / "pit_ti_224.safetensors"
    shutil.copy(local / f"{SMALL}.safetensors", bad)
    spoil(bad)
    (problem,) = zoo.problems(local)
    assert problem.startswith(f"pit_ti_224.safetensors is left out: it {words}")
    assert [each.name for each in zoo.cards(local) if each.source == "local"] == [SMALL]
    with pytest.raises(CorruptWeights, match=f"pit_ti_224.safetensors {words}"):
        zoo.load("pit_ti_224", local)


def test_files_that_are_no_timm_model_are_named(local: Path) -> None:
    for name in ("mine", "vit_tiny_patch16_224.nonsense", "vit_base_patch14_dinov2"):
        shutil.copy(local / f"{SMALL}.safetensors", local / f"{name}.safetensors")
    assert zoo.problems(local) == (
        "mine.safetensors is left out: there is no timm model called “mine”.",
        "vit_base_patch14_dinov2.safetensors is left out: vit_base_patch14_dinov2 has no classifier "
        "head, so there is no answer to attack.",
        "vit_tiny_patch16_224.nonsense.safetensors is left out: there is no model called "
        "“vit_tiny_patch16_224.nonsense”.",
    )
    with pytest.raises(UnknownName):
        zoo.load("vit_tiny_patch16_224.nonsense", local)


def test_a_repaired_file_is_offered_again(local: Path) -> None:
    path = local / f"{SMALL}.safetensors"
    good = path.read_bytes()
    path.write_bytes(good[:-1])
    assert zoo.problems(local)
    path.write_bytes(good)
    assert not zoo.problems(local)
    assert zoo.load(SMALL, local)


def test_a_file_with_none_of_the_weights_is_refused(local: Path) -> None:
    save_file({"something": torch.zeros(3)}, local / "pit_ti_224.safetensors")
    with pytest.raises(CorruptWeights, match="does not hold the weights of timm's pit_ti_224"):
        zoo.load("pit_ti_224", local)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(local: Path, value: float) -> None:
    path = local / f"{SMALL}.safetensors"
    weights = load_file(path)
    weights["blocks.3.mlp.fc1.weight"][5, 7] = value
    save_file(weights, path)
    with pytest.raises(CorruptWeights, match=r"values that are no numbers, in blocks\.3\.mlp\.fc1"):
        zoo.load(SMALL, local)


def test_bundled_models_with_a_bad_card_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("vit_imagenette", "pit_imagenette", "deit_imagenette", "resnet_imagenette"):
        bundled(name, tmp_path)
    (tmp_path / "pit_imagenette.json").unlink()
    cut = tmp_path / "deit_imagenette.json"
    cut.write_bytes(cut.read_bytes()[:200])
    (tmp_path / "resnet_imagenette.safetensors").unlink()
    monkeypatch.setattr(zoo, "BUNDLED", tmp_path)
    assert [each.name for each in zoo.cards() if each.source == "bundled"] == ["vit_imagenette"]
    assert zoo.problems() == (
        "pit_imagenette.json is left out: the card is missing.",
        "deit_imagenette.json is left out: the card is damaged.",
        "resnet_imagenette.json is left out: the bundled file resnet_imagenette.safetensors is "
        "missing.",
    )


@pytest.mark.parametrize("card", ["[]", "null", '{"name": 3}', "\x00", "{"])
def test_no_card_can_stop_the_listing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, card: str
) -> None:
    (tmp_path / "vit_imagenette.json").write_text(card, encoding="utf-16")
    (tmp_path / "pit_imagenette.json").write_text(card, encoding="utf-8")
    monkeypatch.setattr(zoo, "BUNDLED", tmp_path)
    assert {each.source for each in zoo.cards()} == {"hub"}
    assert len(zoo.problems()) == 2


def test_without_bundled_models_the_listing_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zoo, "BUNDLED", tmp_path / "nowhere")
    assert zoo.cards()
    assert zoo.problems() == ("The folder of the bundled models is missing: clone again.",)


def test_nothing_is_wrong_with_what_ships(local: Path) -> None:
    assert zoo.problems() == zoo.problems(local) == ()


@pytest.mark.parametrize(
    "name", ["", ".", "../x", "a\x00b", "vit_tiny_patch16_224./../x", "x" * 40_000, "timm/", "🙂"]
)
def test_no_name_reaches_beyond_the_folder(local: Path, name: str) -> None:
    with pytest.raises(EngineError):
        zoo.load(name, local)


def test_both_spellings_of_a_name_are_one_model(local: Path) -> None:
    assert zoo.load(f"timm/{SMALL}", local) is zoo.load(SMALL, local)


def test_a_model_without_published_weights_is_a_sentence() -> None:
    with pytest.raises(WeightsUnavailable, match=r"no published weights for gcvit_base\.in1k"):
        zoo.available(zoo.card("gcvit_base.in1k"))
