"""A stranger's zip: nothing is unpacked before its directory has been judged, and never too much."""

from __future__ import annotations

import io
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.errors import EngineError
from engine.data import archive
from engine.data.archive import contents, members, safe_name


def zipped(files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return buffer.getvalue()


def put(folder: Path, content: bytes) -> Path:
    path = folder / "mine.zip"
    path.write_bytes(content)
    return path


def read(path: Path) -> dict[str, bytes]:
    found = members(path, "mine.zip")
    return dict(zip((str(each.name) for each in found), contents(found), strict=True))


def complaint(path: Path) -> str:
    with pytest.raises(EngineError) as caught:
        read(path)
    assert len(caught.value.sentence) < 250
    assert caught.value.hint.endswith(".")
    return caught.value.sentence


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_files_come_in_the_order_of_their_names(tmp_path: Path, method: int) -> None:
    files = {"b/1.png": b"one", "a.png": b"two" * 9999, "c/🎈.png": b""}
    found = read(put(tmp_path, zipped(files | {"b/": b""}, method)))
    assert list(found.items()) == sorted(files.items())


def test_utf_8_that_does_not_say_so_is_read_as_utf_8(tmp_path: Path) -> None:
    """As macOS writes it; bytes that are no UTF-8 stay what zipfile makes of them."""
    whole = zipped({"église.png": b"", "x\x82.png": b""})
    plain = whole.replace("x\x82".encode(), b"x\x82\x82").replace(b"\0\x08\0\0", b"\0\0\0\0")
    quiet = bytearray(plain)
    for signature, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        start = -1
        while (start := quiet.find(signature, start + 1)) >= 0:
            quiet[start + place + 1] &= ~0x08
    assert list(read(put(tmp_path, bytes(quiet)))) == ["xéé.png", "église.png"]


def test_a_name_that_is_no_utf_8_though_it_says_so(tmp_path: Path) -> None:
    broken = zipped({"é.png": b"one"}).replace("é".encode(), b"\xff\xff")
    assert "not a zip archive" in complaint(put(tmp_path, broken))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_rare_methods_are_refused_unopened(tmp_path: Path, method: int) -> None:
    """A megabyte of bzip2 unpacks to 20 GB in one call."""
    assert "packed by a rare method" in complaint(put(tmp_path, zipped({"a.png": b"a"}, method)))


def test_locked_files_are_refused(tmp_path: Path) -> None:
    locked = bytearray(zipped({"a.png": b"a"}))
    for signature, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        locked[locked.index(signature) + place] |= 1
    assert "locked" in complaint(put(tmp_path, bytes(locked)))


def test_damaged_files_are_named(tmp_path: Path) -> None:
    broken = bytearray(zipped({"a.png": bytes(range(256))}))
    broken[60] ^= 0xFF
    assert complaint(put(tmp_path, bytes(broken))) == "“a.png” in “mine.zip” is damaged."


def test_too_large_a_file_and_too_much_in_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = put(tmp_path, zipped({"a.png": bytes(2 << 20), "b.png": bytes(2 << 20)}))
    monkeypatch.setattr(archive, "MOST_UNPACKED", 3 << 20)
    assert "would unpack to 4 MB; the limit is 3" in complaint(path)
    with pytest.raises(EngineError, match="is larger than 1 MB"):
        list(contents(members(path, "mine.zip"), most=1 << 20))


def test_too_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MOST_MEMBERS", 3)
    path = put(tmp_path, zipped({f"{i}.png": b"" for i in range(4)}))
    assert complaint(path) == "“mine.zip” holds 4 files; the limit is 3."


def test_a_directory_of_a_million_files_is_not_read(tmp_path: Path) -> None:
    """Its size is told at the archive's end; reading 50 MB of it would take zipfile a quarter minute."""
    entry = b"PK\1\2" + bytes(24) + struct.pack("<H", 1) + bytes(16) + b"a"
    count = (50 << 20) // len(entry)
    end = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 0, 0, count * len(entry), 0, 0)
    path = put(tmp_path, entry * count + end)
    began = time.process_time()
    assert "not a zip archive" in complaint(path)
    assert time.process_time() - began < 1


def test_files_that_lie_over_each_other(tmp_path: Path) -> None:
    """Many directory entries for one packed file: small to keep, long to unpack."""
    whole = zipped({"a.png": bytes(1000)}, zipfile.ZIP_STORED)
    start, end = whole.index(b"PK\1\2"), whole.index(b"PK\5\6")
    entry, count = whole[start:end], 50
    tail = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, count, count, count * len(entry), start, 0)
    assert "is damaged" in complaint(put(tmp_path, whole[:start] + entry * count + tail))


def test_a_file_that_holds_more_than_the_directory_says(tmp_path: Path) -> None:
    """100 MB behind a promise of 10 bytes are not unpacked."""
    whole = bytearray(zipped({"a.png": bytes(100 << 20)}))
    place = whole.index(b"PK\1\2") + 24
    whole[place : place + 4] = struct.pack("<I", 10)
    path = put(tmp_path, bytes(whole))
    tracemalloc.start()
    assert "is damaged" in complaint(path)
    assert tracemalloc.get_traced_memory()[1] < 2 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(
    "name", ["🎈" * 200 + ".png", "a/b\\c:d*?.png", "x" * 999 + ".png", "\udcff"]
)
def test_any_name_is_made_one_that_a_disk_takes(tmp_path: Path, name: str) -> None:
    (tmp_path / safe_name(name)).write_bytes(b"")
    assert len(safe_name(name).encode()) <= 100
    assert safe_name(name).endswith(".png") or name == "\udcff"


WHOLE = zipped({"tench/1.png": b"one", "tench/2.png": bytes(5000), "labels.csv": b"file,class\n"})


@settings(max_examples=200, deadline=2000, derandomize=True)
@given(
    st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=8),
    st.none() | st.integers(0, len(WHOLE)),
)
def test_no_mutation_makes_anything_but_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]], cut: int | None
) -> None:
    broken = bytearray(WHOLE)
    for place, value in changes:
        broken[place] = value
    folder = tmp_path_factory.mktemp("zip")
    path = put(folder, bytes(broken[:cut]))
    try:
        found = read(path)
    except EngineError:
        return
    assert sum(map(len, found.values())) <= archive.MOST_UNPACKED
