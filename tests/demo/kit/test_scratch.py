"""Temporary files lie in one folder of ours, are counted, and do not outlive their process."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from demo.kit import scratch
from demo.kit.scratch import NoRoom

posix = pytest.mark.skipif(os.name != "posix", reason="users and modes are others there")


@pytest.fixture
def temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for temporary files, in this process and its children.

    The folder of a page that is served meanwhile stays its own.
    """
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(scratch, "home", cache(scratch.home.__wrapped__))
    monkeypatch.setattr(scratch, "_root", cache(scratch._root.__wrapped__))
    return tmp_path


def another(ends: str) -> subprocess.Popen[str]:
    """A process that has made a folder with a file in it, and then does as it is told."""
    script = (
        "from demo.kit import scratch; import time; found = scratch.folder();"
        f"(found.path / 'file').write_bytes(b'x'); print(found.path, flush=True); {ends}"
    )
    return subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, encoding="utf-8"
    )


def said(child: subprocess.Popen[str]) -> Path:
    assert child.stdout is not None
    return Path(child.stdout.readline().strip())


def test_a_folder_is_ours_alone_and_goes_with_its_holder(temp: Path) -> None:
    found = scratch.folder()
    path = found.path
    assert path.is_relative_to(temp)
    if os.name == "posix":
        assert all(each.stat().st_mode & 0o077 == 0 for each in (path, *path.parents[:2]))
    del found
    assert not path.exists()
    again = scratch.folder()
    again.remove()
    assert not again.path.exists()


def test_a_process_that_ends_leaves_nothing(temp: Path) -> None:
    with another("") as child:
        path = said(child)
    assert path.is_relative_to(temp)
    assert not path.parent.exists()


@posix
def test_what_a_killed_process_left_is_swept_and_the_living_is_not(temp: Path) -> None:
    mine = scratch.folder()
    with another("time.sleep(60)") as killed:
        path = said(killed)
        scratch.sweep()
        assert path.exists(), "it lives"
        killed.send_signal(signal.SIGKILL)
    assert path.exists(), "nobody cleaned up"
    scratch.sweep()
    assert not path.parent.exists()
    assert mine.path.exists()


@posix
@pytest.mark.parametrize("kind", ["another user's", "a link", "a file"])
def test_a_name_that_is_taken_is_not_used(
    temp: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = os.getuid() + (kind == "another user's")
    monkeypatch.setattr("os.getuid", lambda: user)
    taken = temp / f"vit-lab-{user}"
    elsewhere = temp / "elsewhere"
    elsewhere.mkdir()
    if kind == "a link":
        taken.symlink_to(elsewhere)
    elif kind == "a file":
        taken.write_text("", encoding="utf-8")
    else:
        taken.mkdir()
    found = scratch.folder()
    assert found.path.is_relative_to(temp)
    assert not list(elsewhere.iterdir())
    assert found.path.parents[1].name.startswith(f"{taken.name}-")


def test_bytes_are_counted_and_capped(temp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = scratch.used()
    found = scratch.folder()
    (found.path / "file").write_bytes(bytes(1000))
    assert scratch.used() == before + 1000
    monkeypatch.setattr(scratch, "MOST_BYTES", before + 1500)
    with scratch.room(500):
        pass
    with pytest.raises(NoRoom, match="no room"), scratch.room(501):
        pytest.fail("there was room")
    found.remove()
    with scratch.room(501):
        pass


def test_a_full_disk_is_a_sentence_and_other_troubles_are_themselves(temp: Path) -> None:
    with pytest.raises(NoRoom), scratch.room():
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(PermissionError), scratch.room():
        raise PermissionError


def test_a_machines_own_sweeper_does_no_harm(temp: Path) -> None:
    shutil.rmtree(scratch.home())
    assert scratch.folder().path
    assert scratch.used() >= 0
