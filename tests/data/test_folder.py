"""Labelled folders: what is read, in which order, and what each mistake is answered."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
from PIL import Image

from engine.core.errors import BadImage, EngineError
from engine.data.folder import BadFolder, Item, batches, read_folder
from engine.data.labels import folded, imagenet_names, spellings

NAMES = ("tench", "English springer", "cassette player")


def picture(path: Path, tint: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (24, 20), (tint, tint, tint)).save(path)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Three classes with 6, 3 and 1 pictures."""
    for name, count in (("tench", 6), ("english_springer", 3), ("Cassette-Player", 1)):
        for index in range(count):
            picture(tmp_path / name / f"{index}.png", 10 * index)
    (tmp_path / "tench" / "notes.txt").write_text("not a picture", encoding="utf-8")
    (tmp_path / ".cache").mkdir()
    return tmp_path


def complaint(folder: Path, names: tuple[str, ...] = NAMES) -> EngineError:
    with pytest.raises(BadFolder) as caught:
        read_folder(folder, names)
    assert caught.value.hint
    return caught.value


def test_sub_folders_give_pictures_and_labels(tree: Path) -> None:
    items = read_folder(tree, NAMES)
    assert Counter(item.label for item in items) == {0: 6, 1: 3, 2: 1}
    assert len(set(items)) == 10
    assert all(folded(item.path.parent.name) == folded(NAMES[item.label]) for item in items)


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 6, 8, 10, 99])
def test_a_limit_is_even_over_classes(tree: Path, limit: int) -> None:
    """No class has two more than another, unless the other is used up."""
    chosen = Counter(item.label for item in read_folder(tree, NAMES, limit))
    assert chosen.total() == min(limit, 10)
    for label, available in ((0, 6), (1, 3), (2, 1)):
        assert chosen[label] == available or chosen[label] >= max(chosen.values()) - 1


def test_a_smaller_limit_is_the_beginning_of_a_larger(tree: Path) -> None:
    whole = read_folder(tree, NAMES, seed=5)
    assert all(read_folder(tree, NAMES, limit, seed=5) == whole[:limit] for limit in range(1, 11))


def test_the_seed_decides_and_nothing_else(tree: Path) -> None:
    before = torch.random.get_rng_state()
    assert read_folder(tree, NAMES, 4, seed=1) == read_folder(tree, NAMES, 4, seed=1)
    assert len({read_folder(tree, NAMES, 4, seed=seed) for seed in range(8)}) > 1
    assert torch.equal(torch.random.get_rng_state(), before)


def test_word_net_ids_and_synonyms_are_understood(tmp_path: Path) -> None:
    for name in ("n01440764", "English springer spaniel", "n02979186"):
        picture(tmp_path / name / "a.jpg")
    assert sorted(item.label for item in read_folder(tmp_path, NAMES)) == [0, 1, 2]


def test_a_table_wins_and_may_have_more_columns(tree: Path) -> None:
    rows = "file,class_index,wnid\ntench/0.png,2,x\nenglish_springer/1.png,0,y\n"
    (tree / "labels.csv").write_text("\ufeff" + rows, encoding="utf-8")
    items = {
        (item.path.relative_to(tree).as_posix(), item.label) for item in read_folder(tree, NAMES)
    }
    assert items == {("tench/0.png", 2), ("english_springer/1.png", 0)}


def test_no_such_folder(tmp_path: Path) -> None:
    assert "no folder" in complaint(tmp_path / "nowhere").sentence


def test_an_empty_folder(tmp_path: Path) -> None:
    assert "no picture" in complaint(tmp_path).sentence


def test_an_empty_class_folder_is_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "tench").mkdir()
    assert "no picture" in complaint(tmp_path).sentence


def test_unknown_class_names_are_listed(tree: Path) -> None:
    picture(tree / "unicorn" / "a.png")
    error = complaint(tree)
    assert "“unicorn”" in error.sentence
    assert "tench" in error.hint


def test_a_table_without_its_columns(tree: Path) -> None:
    (tree / "labels.csv").write_text("path,label\n", encoding="utf-8")
    assert "“file”, “class_index”" in complaint(tree).sentence


def test_a_table_naming_missing_files(tree: Path) -> None:
    (tree / "labels.csv").write_text(
        "file,class_index\ngone.png,0\ntench/0.png,0\n", encoding="utf-8"
    )
    error = complaint(tree)
    assert "“gone.png”" in error.sentence
    assert "(1)" in error.sentence


@pytest.mark.parametrize("index", ["3", "-1", "1000", "tench", "0.5", ""])
def test_an_index_out_of_range_names_its_line(tree: Path, index: str) -> None:
    (tree / "labels.csv").write_text(
        f"file,class_index\ntench/0.png,0\ntench/1.png,{index}\n", encoding="utf-8"
    )
    error = complaint(tree)
    assert "line 3" in error.sentence
    assert "0 to 2" in error.hint


def test_a_row_that_is_too_short(tree: Path) -> None:
    (tree / "labels.csv").write_text("class_index,file\n0\n", encoding="utf-8")
    assert "line 2" in complaint(tree).sentence


def test_batches_cover_everything_in_order(tree: Path) -> None:
    items = read_folder(tree, NAMES)
    parts = list(batches(items, size=16, crop=1.0, batch=4))
    assert [len(part.labels) for part in parts] == [4, 4, 2]
    assert torch.cat([part.labels for part in parts]).tolist() == [item.label for item in items]
    images = torch.cat([part.images for part in parts])
    assert images.dtype == torch.uint8
    assert images.shape == (10, 3, 16, 16)
    tints = [10 * int(item.path.stem) for item in items]
    assert images[:, 0, 8, 8].tolist() == tints


def test_a_bad_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"nothing")
    with pytest.raises(BadImage, match="broken"):
        next(batches([Item(tmp_path / "broken.png", 0)], 16, 1.0, 1))


def test_imagenet_has_a_thousand_different_names() -> None:
    names = imagenet_names()
    assert len({folded(name) for name in names}) == len(names) == 1000
    known = {0: "tench", 217: "English springer", 482: "cassette player", 574: "golf ball"}
    assert all(names[index] == name for index, name in known.items())


def test_every_imagenet_class_answers_to_its_name_and_id() -> None:
    known = spellings(imagenet_names())
    assert all(known[folded(name)] == index for index, name in enumerate(imagenet_names()))
    assert known["n01440764"] == 0
    assert known["n03126707"] == 517, "the crane that lifts"
    assert known["n02012849"] == 134, "the crane that flies"


def test_what_fits_two_classes_fits_none() -> None:
    assert "crane" not in spellings(imagenet_names())
    assert spellings(("crane", "tench"))["crane"] == 0, "a model's own name always counts"
