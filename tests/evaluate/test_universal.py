"""One perturbation for all pictures of a model: trained on a folder, resumed, measured, refused."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.__main__ import main
from engine.attack.recipes.mifgsm import MIFGSM
from engine.attack.universal import (
    CLASS_UNIVERSAL,
    PATCH,
    SHIPPED,
    UNIVERSAL,
    Training,
    Universal,
    load,
    save,
    shipped_for,
    ships_as,
)
from engine.attack.view import PatchOut
from engine.core.errors import BadTask
from engine.core.streams import Streams
from engine.data.samples import samples
from engine.evaluate import universal as perturbing
from engine.evaluate.judge import predict
from engine.model.task import Task
from engine.papers.perturbing import Ground
from engine.papers.quant.universal import Settings, train
from tests.tiny import SIZE, victim

SOURCE = victim()
GEN = torch.Generator().manual_seed(0)
PIXELS = torch.randint(0, 256, (20, 3, SIZE, SIZE), generator=GEN, dtype=torch.uint8)
# A budget at which a random network's columns double, far above what the order of sums can change.
SETTINGS = Settings(eps=32 / 255, step=4 / 255, epochs=6, batch=4, class_weight=0.1, share=0.05)


def last(chosen: Settings, before: Universal | None = None) -> Universal:
    found = list(train(Ground(SOURCE, PIXELS), chosen, before))[-1]
    assert isinstance(found, Universal)
    return found


def test_it_raises_columns_of_pictures_it_never_saw_above_noise():
    made = last(SETTINGS)
    assert float(made.delta.abs().max()) <= torch.tensor(SETTINGS.eps)  # as float32 has it
    assert (made.pictures, made.epochs, made.measured.pictures) == (16, 6, 4)
    columns = made.measured.figures["outlier columns"]
    assert columns.attacked > columns.noise
    assert columns.attacked > columns.clean


def test_any_attack_trains_one_and_what_is_measured_has_a_name():
    """MI-FGSM's, seen through a random part of its patches, fools a network on unseen pictures."""
    attack = replace(MIFGSM(eps=32 / 255).build(SOURCE.spec), view=PatchOut(0.9, 8))
    own = predict(SOURCE, PIXELS)[:4]

    def measure(pixels: Tensor) -> dict[str, Tensor]:
        return {
            "fooled": predict(SOURCE, pixels) != own,
            "brightness": pixels.double().mean((1, 2, 3)),
        }

    training = Training(32 / 255, 8 / 255, 3, 4)
    blank = training.blank(SOURCE)
    *_, made = perturbing.train(SOURCE, attack, training, PIXELS, measure, blank)
    fooled = made.measured.figures["fooled"]
    assert fooled.clean == 0
    assert fooled.attacked > fooled.noise
    mean = made.measured.figures["brightness"].clean
    assert mean == pytest.approx(float(PIXELS[:4].double().mean()))


def test_a_file_from_before_figures_had_names_is_read():
    made = load(SHIPPED / "quantattack_vit_imagenette_universal.safetensors")
    assert (made.attack, made.kind, made.weights) == ("quantattack", UNIVERSAL, "")
    assert list(made.settings) == ["threshold"]
    assert list(made.measured.figures) == ["outlier columns"]
    columns = made.measured.figures["outlier columns"]
    assert made.measured.pictures == 40
    assert columns.noise < columns.attacked == columns.times * columns.clean


def test_resuming_gives_the_same_bits_and_another_run_is_refused(tmp_path: Path):
    whole = last(SETTINGS)
    save(last(replace(SETTINGS, epochs=3)), tmp_path / "x.safetensors")
    again = last(SETTINGS, load(tmp_path / "x.safetensors"))
    assert torch.equal(again.delta, whole.delta)
    assert again.measured == whole.measured
    with pytest.raises(BadTask, match="eps"):
        last(replace(SETTINGS, eps=4 / 255), whole)


def test_the_header_says_what_it_is(tmp_path: Path):
    made = last(replace(SETTINGS, epochs=1))
    save(made, tmp_path / "vit.safetensors")
    back = load(tmp_path / "vit.safetensors")
    assert replace(back, delta=made.delta) == replace(made, delta=made.delta)
    assert not list(tmp_path.glob("*.part"))


def test_what_ships_is_found_by_model_and_attack(tmp_path: Path):
    delta = torch.zeros(3, SIZE, SIZE)
    plain = Universal(delta, 16 / 255, "vit|ats", attack="desparsify")
    made = (plain, replace(plain, label="golf ball"), replace(plain, eps=1.0, side=9))
    others = replace(plain, victim="vit"), replace(plain, attack="quantattack")
    for each in (*others, *reversed(made)):
        path = ships_as(each.attack, each.victim, each.label, each.side)
        assert "|" not in path.name
        assert " " not in path.name
        save(each, tmp_path / path.name)
    found = shipped_for("vit|ats", "desparsify", tmp_path)
    assert [each.kind for each in found] == [UNIVERSAL, CLASS_UNIVERSAL, PATCH]
    assert [each.title for each in found] == [
        "universal",
        "class-universal: golf ball",
        "universal patch",
    ]
    assert shipped_for("other", "desparsify", tmp_path) == ()


def test_a_finished_one_is_a_byte_a_pixel_and_the_same_on_8_bit_pictures(tmp_path: Path):
    eps = 16 / 255
    rough = Universal((torch.rand(3, SIZE, SIZE, generator=GEN) * 2 - 1) * eps, eps, "vit")
    stored = tmp_path / "x.safetensors"
    save(rough.finished(), stored)
    back = load(stored)
    assert stored.stat().st_size < 2000 + 3 * SIZE * SIZE
    assert torch.equal(back.delta, rough.finished().delta)
    one, other = (perturbing.saved(each, PIXELS, SOURCE) for each in (rough, back))
    assert torch.equal(one, other)
    assert int((other.int() - PIXELS.int()).abs().max()) <= 16


def test_a_patch_stands_in_for_pixels_and_is_measured_beside_a_random_one():
    attack = MIFGSM(eps=1 / 255).build(SOURCE.spec)
    training = Training(1.0, 0.1, 4, 4, "cosine", 0.5, side=12)
    own = predict(SOURCE, PIXELS)[:4]

    def measure(pixels: Tensor) -> dict[str, Tensor]:
        changed = pixels != PIXELS[:4]
        assert not changed[:, :, 12:].any()
        assert not changed[:, :, :, 12:].any()
        return {
            "fooled": predict(SOURCE, pixels) != own,
            "under": pixels[:, 0, 3, 3].double(),
        }

    blank = training.blank(SOURCE, label="golf ball")
    *_, made = perturbing.train(SOURCE, attack, training, PIXELS, measure, blank)
    assert (made.kind, made.eps) == (PATCH, 1.0)
    assert 0 <= float(made.delta.min()) <= float(made.delta.max()) <= 1
    under = made.measured.figures["under"]
    assert under.attacked == pytest.approx(255 * float(made.delta[0, 3, 3]), abs=1e-4)
    assert under.noise == int(under.noise) != under.attacked
    assert made.measured.figures["fooled"].attacked > made.measured.figures["fooled"].noise


def test_the_order_of_pictures_does_not_matter_beyond_the_seed():
    """Law 17: all pictures in one batch, told in any order, give the same bits."""
    attack = MIFGSM(eps=16 / 255).build(SOURCE.spec)
    for side in (0, 12):
        training = Training(16 / 255, 2 / 255, 3, len(PIXELS), "cosine", 0.9, side)
        found = [
            [*training(attack, SOURCE, _task(rows), Streams(seed))][-1].made.delta
            for rows, seed in ((slice(None), 0), (PIXELS[:, 0, 0, 0].argsort(), 0))
        ]
        assert torch.equal(*found)
        assert found[0].shape == PIXELS.shape[1:]


def _task(rows: Any) -> Task:
    some = PIXELS[rows]
    return Task(some.double() / 255, predict(SOURCE, some))


def test_a_shrinking_run_is_resumed_with_its_momentum_to_the_same_bits(tmp_path: Path):
    attack = MIFGSM(eps=16 / 255).build(SOURCE.spec)
    training = Training(16 / 255, 2 / 255, 4, 8, "cosine", 0.9)
    asked = _task(slice(None))
    whole = [each.made for each in training(attack, SOURCE, asked, Streams(0))]
    halfway = next(each for each in whole if each.epochs == 2)
    save(halfway, tmp_path / "x.safetensors")
    again = load(tmp_path / "x.safetensors")
    *_, end = training(attack, SOURCE, asked, Streams(0), again)
    assert torch.equal(end.made.delta, whole[-1].delta)
    forgetful = replace(again, past=None)
    *_, other = training(attack, SOURCE, asked, Streams(0), forgetful)
    assert not torch.equal(other.made.delta, whole[-1].delta)


def test_the_step_falls_from_its_first_to_nothing_over_the_run():
    attack = MIFGSM(eps=16 / 255).build(SOURCE.spec)
    training = Training(1.0, 1 / 255, 5, 10, "cosine")
    deltas = [torch.zeros(3, SIZE, SIZE)]
    deltas += [each.made.delta for each in training(attack, SOURCE, _task(slice(None)), Streams(0))]
    sizes = [float((b - a).abs().max()) * 255 for a, b in pairwise(deltas)]
    wanted = [(1 + math.cos(math.pi * t / 10)) / 2 for t in range(10)]
    assert sizes == pytest.approx(wanted)


def test_too_few_pictures_are_refused():
    with pytest.raises(BadTask):
        list(train(Ground(SOURCE, PIXELS[:4]), SETTINGS))


def test_the_command_trains_resumes_and_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    rendered = [each for each in samples() if each.kind == "rendered"]
    for sample in rendered[:6]:
        folder = tmp_path / "pictures" / sample.credit.split("(")[1].rstrip(")")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / sample.path.name).write_bytes(sample.path.read_bytes())
    out = tmp_path / "made" / "delta.safetensors"
    words = [
        "universal",
        "quant",
        str(tmp_path / "pictures"),
        "--model",
        "vit_imagenette",
        "--json",
    ]
    words += ["--share", "0.005", "--batch", "3", "--out", str(out)]
    assert main([*words, "--epochs", "1"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert (first["epochs"], first["pictures"], first["measured"]["pictures"]) == (1, 5, 1)
    assert main([*words, "--epochs", "2", "--resume"]) == 0
    assert json.loads(capsys.readouterr().out)["epochs"] == 2
    assert load(out).epochs == 2
    assert main([*words, "--epochs", "2", "--resume", "--eps", "4/255"]) == 2
    assert capsys.readouterr().err.startswith("engine: The saved perturbation is of another run")
