"""One perturbation for all pictures of a model: trained on a folder, resumed, measured, refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from engine.__main__ import main
from engine.attack.recipes.mifgsm import MIFGSM
from engine.attack.universal import Training, Universal, load, save, shipped
from engine.attack.view import PatchOut
from engine.core.errors import BadTask
from engine.data.samples import samples
from engine.evaluate import universal as perturbing
from engine.evaluate.judge import predict
from engine.papers.quant.universal import Settings, train
from tests.tiny import SIZE, victim

SOURCE = victim()
GEN = torch.Generator().manual_seed(0)
PIXELS = torch.randint(0, 256, (20, 3, SIZE, SIZE), generator=GEN, dtype=torch.uint8)
# A budget at which a random network's columns double, far above what the order of sums can change.
SETTINGS = Settings(eps=32 / 255, step=4 / 255, epochs=6, batch=4, class_weight=0.1, share=0.05)


def last(chosen: Settings, before: Universal | None = None) -> Universal:
    found = list(train(SOURCE, PIXELS, chosen, before))[-1]
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
    figures = {
        "fooled": lambda pixels: predict(SOURCE, pixels) != own,
        "brightness": lambda pixels: pixels.double().mean((1, 2, 3)),
    }
    *_, made = perturbing.train(SOURCE, attack, Training(32 / 255, 8 / 255, 3, 4), PIXELS, figures)
    fooled = made.measured.figures["fooled"]
    assert fooled.clean == 0
    assert fooled.attacked > fooled.noise
    mean = made.measured.figures["brightness"].clean
    assert mean == pytest.approx(float(PIXELS[:4].double().mean()))


def test_a_file_from_before_figures_had_names_is_read():
    made = load(shipped("vit_imagenette"))
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
    assert shipped("vit", tmp_path) == tmp_path / "vit.safetensors"
    assert shipped("other", tmp_path) is None
    assert not list(tmp_path.glob("*.part"))


def test_too_few_pictures_are_refused():
    with pytest.raises(BadTask):
        list(train(SOURCE, PIXELS[:4], SETTINGS))


def test_the_command_trains_resumes_and_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    rendered = [each for each in samples() if each.kind == "rendered"]
    for sample in rendered[:6]:
        folder = tmp_path / "pictures" / sample.credit.split("(")[1].rstrip(")")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / sample.path.name).write_bytes(sample.path.read_bytes())
    out = tmp_path / "made" / "delta.safetensors"
    words = ["universal", str(tmp_path / "pictures"), "--model", "vit_imagenette", "--json"]
    words += ["--share", "0.005", "--batch", "3", "--out", str(out)]
    assert main([*words, "--epochs", "1"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert (first["epochs"], first["pictures"], first["measured"]["pictures"]) == (1, 5, 1)
    assert main([*words, "--epochs", "2", "--resume"]) == 0
    assert json.loads(capsys.readouterr().out)["epochs"] == 2
    assert load(out).epochs == 2
    assert main([*words, "--epochs", "2", "--resume", "--eps", "4/255"]) == 2
    assert capsys.readouterr().err.startswith("engine: The saved perturbation is of another run")
