"""The doors: the page that the tests of `demo` serve, in their browser."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from engine.data import quarantine

DEMO = Path(__file__).parents[1] / "demo"
sys.path.insert(0, str(DEMO))  # for `visitor`
_spec = spec_from_file_location("demo_conftest", DEMO / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
_conftest = module_from_spec(_spec)
_spec.loader.exec_module(_conftest)
served, browser, visit = _conftest.served, _conftest.browser, _conftest.visit


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A decoder gets a second: the words are the same, and sooner."""
    monkeypatch.setattr(quarantine, "MOST_SECONDS", 1)
