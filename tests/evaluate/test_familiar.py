"""The threshold below which a model is not sure flags the share that it says, on what it was set."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine.data.decode import fit
from engine.data.samples import load_sample, samples
from engine.evaluate import familiar
from engine.model import zoo


def test_the_threshold_flags_the_share_it_was_asked_for() -> None:
    known, strangers = torch.arange(1000) / 100, torch.arange(1000) / 200
    found = familiar.calibrate(known, strangers, flagged=0.1)
    assert found.threshold == pytest.approx(0.999)
    assert (found.flags, found.known) == (0.1, 1000)
    assert found.catches == pytest.approx(0.2)  # half the scale: twice as many lie below


def test_largest_logits_are_the_models_own() -> None:
    victim = zoo.load("vit_imagenette")
    pictures = [load_sample(each.id) for each in samples()[:3]]
    found = familiar.largest_logits(victim, pictures)
    for image, logit in zip(pictures, found, strict=True):
        alone = victim.logits(fit(image, victim.spec.input_size)[None].float() / 255)
        assert float(alone.max()) == pytest.approx(float(logit), abs=1e-4)  # float32, another batch


def test_every_bundled_card_says_how_often_it_is_not_sure() -> None:
    for card in zoo.cards():
        if card.source == "bundled":
            found = familiar.of(card)
            assert found is not None, card.name
            assert found.flags == pytest.approx(familiar.FLAGGED, abs=0.01)
            assert found.catches > found.flags  # else it tells nothing
            assert (found.known, found.strangers) == (1966, 492)


def test_pictures_of_own_classes_are_no_strangers(tmp_path: Path) -> None:
    for name in ("known/church", "strangers/church", "strangers/espresso"):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        load_sample("church").save(folder / "a.png")
    found = familiar.measure(zoo.load("vit_imagenette"), tmp_path / "known", tmp_path / "strangers")
    assert (found.known, found.strangers) == (1, 1)
