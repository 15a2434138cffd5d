"""Whose pictures, and of which class: names, folders, archives and their tables."""

from __future__ import annotations

import errno
import gc
import io
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from demo.kit import labelled, scratch
from demo.kit.picture import Upload, uploads
from demo.kit.scratch import NoRoom
from engine.core.errors import BadImage, BadTask, EngineError
from engine.data.decode import decode
from engine.data.folder import read_folder
from engine.data.labels import imagenet_names, spellings

CLASSES = ("cassette player", "church", "golf ball", "tench")


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Temporary files of each test in a place of its own."""
    found = tmp_path_factory.mktemp("home")
    monkeypatch.setattr(scratch, "home", lambda: found)
    return found


def png(shade: int = 90) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 40), (shade, 120, 30)).save(buffer, "PNG")
    return buffer.getvalue()


def put(folder: Path, name: str, content: bytes) -> Upload:
    path = folder / f"upload_{len(list(folder.iterdir()))}"
    path.write_bytes(content)
    return Upload(path, name)


def zipped(folder: Path, files: Mapping[str, bytes], name: str = "mine.zip") -> Upload:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for each, content in files.items():
            archive.writestr(each, content)
    return put(folder, name, buffer.getvalue())


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("church.png", "church"),
        ("Church_12.JPG", "church"),
        ("golf_ball_1.jpg", "golf ball"),
        ("golf-ball (3).jpg", "golf ball"),
        ("GolfBall7.png", "golf ball"),
        ("n03028079_4.JPEG", "church"),
        ("cassette player at home.png", "cassette player"),
        ("val/church/ILSVRC_1.png", "church"),
        ("church/golf_ball/3.png", "golf ball"),
        ("golf_ball/church.png", "golf ball"),
        ("mine/tench_1.png", "tench"),
    ],
)
def test_folder_or_file_name_says_the_class(name: str, label: str) -> None:
    assert labelled.class_of(PurePosixPath(name), spellings(CLASSES)) == CLASSES.index(label)


@pytest.mark.parametrize(
    "name", ["holiday.png", "churches.png", "my_church.png", "golf.png", "1.png"]
)
def test_a_class_is_a_beginning_of_whole_words(name: str) -> None:
    assert labelled.class_of(PurePosixPath(name), spellings(CLASSES)) is None


def test_no_short_synonym_is_read_into_a_longer_word() -> None:
    # “ai” is a sloth in WordNet's words.
    known = spellings(imagenet_names())
    assert labelled.class_of(PurePosixPath("airship_1.png"), known) == imagenet_names().index(
        "airship"
    )
    assert labelled.class_of(PurePosixPath("aim.png"), known) is None


def test_single_pictures_and_archives_mix(tmp_path: Path) -> None:
    found = labelled.read(
        [
            put(tmp_path, "church_1.png", png(10)),
            zipped(
                tmp_path,
                {
                    "set/golf_ball/a.png": png(20),
                    "set/golf_ball/notes.txt": b"no picture",
                    "__MACOSX/set/golf_ball/._a.png": b"no picture",
                    "set/.hidden/church.png": b"no picture",
                },
            ),
        ],
        CLASSES,
    )
    assert [each.label for each in found.pictures] == ["church", "golf ball"]
    assert found.brought == 2
    assert [decode(each.image).getpixel((0, 0))[0] for each in found.pictures] == [10, 20]
    assert found.words == "2 pictures of 2 classes"


def test_too_many_are_taken_evenly_and_the_words_say_so(tmp_path: Path) -> None:
    many = {f"church/{i:03}.png": png() for i in range(90)} | {"tench/1.png": png(1)}
    found = labelled.read([zipped(tmp_path, many)], CLASSES)
    labels = [each.label for each in found.pictures]
    assert (len(labels), labels.count("tench"), found.brought) == (labelled.MOST_PICTURES, 1, 91)
    assert found.words == "64 pictures of 2 classes, taken evenly from 91"
    with pytest.raises(BadTask, match="There are 91 pictures; at most 64"):
        labelled.refuse_rest(found)


def test_unpacked_pictures_stay_inside_and_go_with_the_value(tmp_path: Path) -> None:
    names = {
        "../../church/evil.png": png(),
        "/church/root.png": png(),
        f"church/{'x' * 200}.png": png(),
    }
    found = labelled.read([zipped(tmp_path, names)], CLASSES)
    assert found.unpacked is not None
    folder = found.unpacked.path
    assert all(
        Path(each.image).resolve().is_relative_to(folder.resolve()) for each in found.pictures
    )
    assert len(found.pictures) == 2  # a name that climbs out of its folder is left alone
    del found
    gc.collect()
    assert not folder.exists()


@pytest.mark.parametrize(
    ("words", "name", "content"),
    [
        ("“holiday.png” does not say which class it shows", "holiday.png", png()),
        ("is not a zip archive", "mine.zip", b"PK no zip"),
        ("There are no pictures", "mine.zip", None),
    ],
)
def test_what_cannot_be_read_is_one_sentence(
    tmp_path: Path, words: str, name: str, content: bytes | None
) -> None:
    upload = zipped(tmp_path, {}) if content is None else put(tmp_path, name, content)
    with pytest.raises(EngineError, match=words):
        labelled.read([upload], CLASSES)


def test_a_long_name_is_read_at_once() -> None:
    """A word that begins with another one to 40,000 characters is not joined up from each end."""
    known = spellings(imagenet_names())
    began = time.process_time()
    assert labelled.class_of(PurePosixPath("a 1 " * 10_000 + ".png"), known) is None
    assert labelled.class_of(PurePosixPath("golf ball " * 4_000), known) == 574
    assert time.process_time() - began < 0.5
    with pytest.raises(BadTask) as caught:
        labelled.read([Upload(Path("x"), "a 1 " * 10_000 + ".png")], CLASSES)
    assert len(caught.value.sentence) < 150


@pytest.mark.parametrize(
    ("words", "files"),
    [
        ("“church/1.png” in “mine.zip” is larger than", {"church/1.png": bytes(25 << 20)}),
        ("would unpack to 80 MB", {f"church/{i}.png": bytes(20 << 20) for i in range(4)}),
        ("is not a picture that can be read", {"church/1.png": png(), "tench/2.png": b"hello"}),
        ("names files that are not there (1): “a.png”", {"labels.csv": b"file,class\na.png,tench"}),
        ("“labels.csv” in “mine.zip” has no column", {"labels.csv": b"a,b", "church/1.png": png()}),
        ("is larger than 2 MB", {"labels.csv": bytes(3 << 20)}),
    ],
)
def test_what_is_refused_leaves_nothing_on_disk(
    home: Path, tmp_path: Path, words: str, files: dict[str, bytes]
) -> None:
    with pytest.raises(EngineError) as caught:
        labelled.read([zipped(tmp_path, files)], CLASSES)
    assert words in caught.value.sentence
    assert not list(home.iterdir())


def test_more_archives_than_anyone_has(tmp_path: Path) -> None:
    one = zipped(tmp_path, {"church/1.png": png()})
    with pytest.raises(BadTask, match="more than 8 archives"):
        labelled.read([one] * 9, CLASSES)


def test_a_full_disk_is_a_sentence(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = zipped(tmp_path, {"church/1.png": png()})

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(NoRoom, match="no room"):
        labelled.read([upload], CLASSES)
    assert not list(home.iterdir())


@pytest.mark.parametrize("name", ["🎈" * 90, "é" * 200, "a:b*c?", "con"])
def test_any_name_is_unpacked(tmp_path: Path, name: str) -> None:
    found = labelled.read([zipped(tmp_path, {f"church/{name}.png": png(7)})], CLASSES)
    assert decode(found.pictures[0].image).getpixel((0, 0))[0] == 7


FILES = {"x/1.png": png(1), "x/2.png": png(2), "3.PNG": png(3), "unlisted.png": png(4)}


@pytest.mark.parametrize("top", ["", "my pictures/"])
@pytest.mark.parametrize(
    "rows",
    [
        "file,class_index,wnid\nx/1.png,2,\n./x/2.png,0,\n3.PNG,2,\n",
        "class,file\nGolf_Ball,x/1.png\ncassette-player,x//2.png\nn03445777,3.PNG\n",
    ],
)
def test_a_table_in_an_archive_is_what_it_is_in_a_folder(
    tmp_path: Path, rows: str, top: str
) -> None:
    files = {f"{top}{name}": content for name, content in FILES.items()}
    files[f"{top}labels.csv"] = rows.encode("utf-16")
    uploaded = zipped(tmp_path, files)
    with zipfile.ZipFile(uploaded.path) as whole:
        whole.extractall(tmp_path / "folder")
    found = labelled.read([uploaded], CLASSES)
    shown = {(each.image.read_bytes(), each.label) for each in found.pictures}
    items = read_folder(tmp_path / "folder" / top, CLASSES)
    assert shown == {(item.path.read_bytes(), CLASSES[item.label]) for item in items}
    assert len(shown) == 3


@settings(max_examples=40, deadline=5000, derandomize=True)
@given(data=st.data())
def test_no_mutation_of_an_archive_makes_anything_but_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """And where it is refused, nothing is left on disk."""
    folder = tmp_path_factory.mktemp("fuzz")
    table = {"labels.csv": b"file,class\nchurch/1.png,church\n"} if data.draw(st.booleans()) else {}
    whole = bytearray(zipped(folder, {"church/1.png": png()} | table).path.read_bytes())
    places = st.integers(0, len(whole) - 1)
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=5)):
        whole[place] = value
    before = len(list(scratch.home().iterdir()))
    try:
        found = labelled.read([put(folder, "mine.zip", bytes(whole))], CLASSES)
    except EngineError:
        assert len(list(scratch.home().iterdir())) == before
        return
    assert {each.label for each in found.pictures} == {"church"}


def test_broken_pictures_are_found_when_they_are_brought(tmp_path: Path) -> None:
    broken = [put(tmp_path, "church.png", b"hello")]
    with pytest.raises(BadImage):
        labelled.read(broken, CLASSES)
    with pytest.raises(BadImage):
        labelled.given(broken, ["church"])


@pytest.mark.parametrize("data", [5, "church.png", {"path": "x"}, [5], [None], [{"path": 5}]])
def test_what_is_no_list_of_uploads_is_a_sentence(data: object) -> None:
    with pytest.raises(BadImage):
        uploads(data)


def test_given_labels_go_with_the_files_in_order(tmp_path: Path) -> None:
    files = [put(tmp_path, "1.png", png()), put(tmp_path, "2.png", png())]
    found = labelled.given(files, ["church", "tench"])
    assert [(each.image, each.label) for each in found.pictures] == [
        (files[0].path, "church"),
        (files[1].path, "tench"),
    ]
    with pytest.raises(BadTask, match="2 pictures and 1 labels"):
        labelled.given(files, ["church"])


def test_samples_have_their_classes() -> None:
    found = labelled.samples()
    assert found.bundled
    assert {"golf ball", "church"} <= {each.label for each in found.pictures}
    assert "bundled samples" in found.words
