"""bitsandbytes as the victim: one clear sentence where it cannot be."""

from __future__ import annotations

import sys

import pytest

from engine.alter.quantize.bitsandbytes import BitsAndBytes, swapped
from engine.core.errors import BadKnob, EngineError
from tests.tiny import victim


def test_no_cuda_no_package_and_a_bad_threshold_are_sentences(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(EngineError, match="runs on an NVIDIA GPU; this model is on CPU"):
        BitsAndBytes()(victim())
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(EngineError, match="not installed"):
        swapped(victim(), 6.0)
    with pytest.raises(BadKnob):
        BitsAndBytes(-1.0)
