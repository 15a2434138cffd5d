"""What holds at all doors. The page and the browser are those of all tests."""

from __future__ import annotations

import pytest

from engine.data import quarantine


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A decoder gets a second: the words are the same, and sooner."""
    monkeypatch.setattr(quarantine, "MOST_SECONDS", 1)
