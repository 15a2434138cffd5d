from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from small_training import RECIPE, SIZE, small_vit

from engine.core.files import write_atomically
from engine.train import Epoch, Finished, loop, measure, train
from engine.train.card import MissingModel
from engine.train.checkpoint import BadCheckpoint
from engine.train.network import Network
from engine.train.pictures import read_dataset
from engine.train.recipe import BadRecipe

SCRIPT = Path(__file__).with_name("small_training.py")
ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")


def run(pictures: Path, folder: Path, recipe=RECIPE, **options) -> list[Epoch | Finished]:
    events = train(recipe, pictures, folder, models=folder, device=CPU, **options)
    return list(events)


def finished(events: list[Epoch | Finished]) -> Finished:
    assert isinstance(events[-1], Finished)
    return events[-1]


@pytest.mark.usefixtures("thumbnail")
def test_it_learns_and_writes_what_it_measured(pictures: Path, tmp_path: Path):
    events = run(pictures, tmp_path, epochs=12)
    losses = [event.loss for event in events if isinstance(event, Epoch)]
    assert losses[-1] < losses[0]
    end = finished(events)
    written = json.loads(end.path.with_suffix(".json").read_text(encoding="utf-8"))
    assert written["sha256"] == hashlib.sha256(end.path.read_bytes()).hexdigest()
    assert written["bytes"] == end.path.stat().st_size
    tensors = load_file(end.path)
    assert {t.dtype for t in tensors.values()} == {torch.float16}
    net = Network(small_vit("small_vit"), written["mean"], written["std"])
    net.body.load_state_dict(tensors)
    dataset = read_dataset(pictures, SIZE)
    assert written["measured"]["val_accuracy"] == measure.accuracy(net, dataset.val)
    assert written["classes"] == ["bright", "dark"]
    assert written["recipe"]["learning_rate"] == RECIPE.learning_rate


@pytest.mark.usefixtures("thumbnail")
def test_the_same_seed_gives_the_same_weights_and_another_does_not(pictures: Path, tmp_path: Path):
    one, two, other = (
        finished(run(pictures, tmp_path / name, seed=seed, epochs=1)).card["sha256"]
        for name, seed in (("one", 3), ("two", 3), ("other", 4))
    )
    assert one == two
    assert one != other


@pytest.mark.usefixtures("thumbnail")
def test_training_leaves_the_callers_random_state_alone(pictures: Path, tmp_path: Path):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    run(pictures, tmp_path, epochs=1)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.usefixtures("thumbnail")
def test_resuming_equals_never_having_stopped(pictures: Path, tmp_path: Path):
    whole = finished(run(pictures, tmp_path / "whole"))
    cut = tmp_path / "cut"
    for _ in islice(train(RECIPE, pictures, cut, models=cut, device=CPU), 1):
        pass
    events = run(pictures, cut, resume=True)
    assert [event.epoch for event in events if isinstance(event, Epoch)] == [2, 3]
    # Bit for bit: every draw is a function of seed, epoch and step, so nothing is lost.
    assert finished(events).card["sha256"] == whole.card["sha256"]


@pytest.mark.usefixtures("thumbnail")
def test_a_checkpoint_of_another_run_is_refused(pictures: Path, tmp_path: Path):
    run(pictures, tmp_path, epochs=1)
    with pytest.raises(BadCheckpoint, match="other settings"):
        run(pictures, tmp_path, epochs=2, resume=True)
    with pytest.raises(BadCheckpoint, match="There is no checkpoint"):
        run(pictures, tmp_path / "empty", resume=True)


@pytest.mark.usefixtures("thumbnail")
def test_what_cannot_be_trained_is_said_before_anything_is_written(pictures: Path, tmp_path: Path):
    with pytest.raises(MissingModel, match="no model absent"):
        run(pictures, tmp_path, replace(RECIPE, start="absent"))
    assert not list(tmp_path.iterdir())


def test_a_model_with_other_classes_is_refused(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(
        loop,
        "build",
        lambda name, *, drop_path: small_vit(name).__class__(
            img_size=SIZE, patch_size=16, num_classes=3, embed_dim=8, depth=1, num_heads=1
        ),
    )
    with pytest.raises(BadRecipe, match="tells 3 classes apart, the data has 2"):
        run(pictures, tmp_path)


def test_a_write_that_fails_leaves_the_old_file_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def fail(_: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, b"new and longer")
    assert path.read_bytes() == b"old"


def start(pictures: Path, folder: Path, *words: str, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(SCRIPT), "small", "--data", str(pictures), "--device", "cpu"]
    command += ["--out", str(folder), "--models", str(folder), *words]
    paths = os.pathsep.join([str(ROOT), str(SCRIPT.parent)])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8", env=environment)


@pytest.mark.slow
def test_kill_minus_nine_loses_nothing(pictures: Path, tmp_path: Path):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = start(pictures, killed, "--epochs", "10")
    assert process.stdout is not None
    first = process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert first.startswith("epoch   1/10")
    assert not (killed / "small_vit.safetensors").exists()
    again = start(pictures, killed, "--epochs", "10", "--resume")
    beside = start(pictures, whole, "--epochs", "10")
    for each in (again, beside):
        each.communicate()
        assert each.returncode == 0
    name = "small_vit.safetensors"
    assert (killed / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.slow
def test_two_processes_follow_the_curve_of_one(pictures: Path, tmp_path: Path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    # Dropped paths are drawn per process, so they are left out to compare curves exactly.
    common = {"DROP_PATH": "0"}
    pair = [
        start(
            pictures,
            tmp_path / "two",
            **common,
            RANK=str(rank),
            LOCAL_RANK=str(rank),
            WORLD_SIZE="2",
            MASTER_ADDR="127.0.0.1",
            MASTER_PORT=port,
        )
        for rank in range(2)
    ]
    outputs = [process.communicate()[0] for process in pair]
    assert [process.returncode for process in pair] == [0, 0]
    assert outputs[1] == ""
    single = start(pictures, tmp_path / "one", **common)
    single.communicate()
    cards = [
        json.loads((tmp_path / name / "small_vit.json").read_text(encoding="utf-8"))
        for name in ("one", "two")
    ]
    assert [card["trained"]["processes"] for card in cards] == [1, 2]
    one, two = (load_file(tmp_path / name / "small_vit.safetensors") for name in ("one", "two"))
    for name, tensor in one.items():
        # The same global batches; sums over halves are added in another order (float32), and
        # Adam's division can blow a gradient near zero up to a whole step of 1e-3.
        torch.testing.assert_close(two[name].float(), tensor.float(), rtol=0, atol=3e-3)
    curves = [_losses(tmp_path / name) for name in ("one", "two")]
    torch.testing.assert_close(curves[1], curves[0], rtol=0, atol=1e-4)


def _losses(folder: Path) -> torch.Tensor:
    from safetensors import safe_open

    with safe_open(folder / "checkpoint.safetensors", framework="pt") as file:
        story = json.loads(file.metadata()["story"])
    return torch.tensor([event["loss"] for event in story["history"]])
