from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.train.__main__ import main
from engine.train.pictures import BadDataset, read_dataset


def test_classes_are_the_sorted_folder_names(pictures: Path):
    dataset = read_dataset(pictures, 32)
    assert dataset.classes == ("bright", "dark")
    assert dataset.train.images.shape == (24, 3, 32, 32)
    bright = dataset.train.images[dataset.train.labels == 0].float().mean()
    assert bright > dataset.train.images[dataset.train.labels == 1].float().mean()


def test_a_missing_split_is_named(tmp_path: Path, pictures: Path):
    shutil.copytree(pictures / "train", tmp_path / "train")
    with pytest.raises(BadDataset, match=r"There is no folder .*val"):
        read_dataset(tmp_path, 32)


def test_splits_with_different_classes_are_refused(tmp_path: Path, pictures: Path):
    shutil.copytree(pictures, tmp_path, dirs_exist_ok=True)
    (tmp_path / "val" / "dark").rename(tmp_path / "val" / "dusk")
    with pytest.raises(BadDataset, match="different classes"):
        read_dataset(tmp_path, 32)


def test_one_class_is_too_few(tmp_path: Path, pictures: Path):
    for split in ("train", "val"):
        shutil.copytree(pictures / split / "dark", tmp_path / split / "dark")
    with pytest.raises(BadDataset, match="holds 1 class"):
        read_dataset(tmp_path, 32)


def test_the_command_says_what_is_wrong_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["vit", "--data", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "There is no folder" in error
    assert "Traceback" not in error
