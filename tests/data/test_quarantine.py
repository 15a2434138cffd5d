"""What a decoder does with hostile bytes happens in a process of its own, and ends there."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest
from PIL import Image

from engine.core.errors import BadImage
from engine.data import quarantine


def refused(*paths: Path, **settings: float) -> str:
    with pytest.raises(BadImage) as caught:
        quarantine.inspect(paths, **settings)
    assert caught.value.hint.endswith(".")
    return caught.value.sentence


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def tiff(tags: int, size: int) -> bytes:
    """A TIFF of so many tags that each claim the same `size` bytes."""
    entries = b"".join(struct.pack("<HHII", 1 + tag, 7, size, 0) for tag in range(tags))
    return (b"II*\0\x08\0\0\0" + struct.pack("<H", tags) + entries).ljust(size + 4, b"\0")


@pytest.fixture
def photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(quarantine, "_passed", set())
    Image.linear_gradient("L").save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_good_pictures_pass_and_are_known_from_then_on(
    photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quarantine.inspect([photo, photo])
    monkeypatch.setattr(quarantine, "_ROOT", photo)  # no process could start there
    quarantine.inspect([photo.rename(photo.with_name("elsewhere.png"))])


def test_the_first_bad_one_is_told_of_as_decode_does(photo: Path) -> None:
    notes = photo.with_name("notes.png")
    notes.write_text("hello", encoding="utf-8")
    assert refused(photo, notes) == "notes.png is not a picture that can be read."
    assert "no file gone.png" in refused(photo.with_name("gone.png"))


@pytest.mark.skipif(os.name != "posix", reason="no limits of memory and time there")
def test_a_kilobyte_a_tag_is_not_let_out(photo: Path) -> None:
    """60,000 tags that each claim all 8 MB: half a terabyte for Pillow, which reads them all."""
    photo.write_bytes(tiff(60_000, 8 << 20))
    assert refused(photo) == "photo.png needs too much memory."


@pytest.mark.skipif(os.name != "posix", reason="no limits of memory and time there")
def test_what_takes_all_day_ends_in_seconds(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GIF's comment of 16 MB, which Pillow adds up block by block, takes a minute."""
    Image.new("P", (32, 32)).save(photo, "GIF")
    whole = photo.read_bytes()
    start = 13 + 3 * 2 ** ((whole[10] & 7) + 1)
    comment = b"!\xfe" + (b"\xff" + b"a" * 255) * 64_000 + b"\0"
    photo.write_bytes(whole[:start] + comment + whole[start:])
    monkeypatch.setattr(quarantine, "MOST_SECONDS", 1)
    began = time.monotonic()
    assert refused(photo) == "photo.png takes too long to decode."
    assert time.monotonic() - began < 20, "2 s of processor time, by the clock of a busy machine"


def test_patience_ends_for_all_together(photo: Path) -> None:
    assert "Only 0 of 1 pictures" in refused(photo, patience=0)


def test_a_crash_is_a_sentence(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHOME", "nowhere")  # the child dies before its first word
    assert refused(photo) == "photo.png cannot be decoded."


def test_the_process_starts_without_torch() -> None:
    """It starts for every picture that is brought: torch would cost each two seconds."""
    script = "import sys, engine.data.quarantine; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
