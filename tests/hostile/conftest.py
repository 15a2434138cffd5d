"""What holds at all doors. The page and the browser are those of all tests."""

from __future__ import annotations

import pytest

from engine.data import quarantine


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A decoder gets three seconds: the words are the same, and sooner, but memory ends before time does
    on a busy machine, too (filling 768 MB took more than one there).
    """
    monkeypatch.setattr(quarantine, "MOST_SECONDS", 3)
