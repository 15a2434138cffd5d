from __future__ import annotations

from pathlib import Path

import pytest
from small_training import shrink, write_pictures


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture
def thumbnail(monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch.setattr)
