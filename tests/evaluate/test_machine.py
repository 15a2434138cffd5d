"""A time says which machine it is of, and what else that machine did."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import torch

from engine.evaluate import machine as reading
from engine.evaluate.machine import Clock, busy, processor

CPU = torch.device("cpu")
TICK = os.sysconf("SC_CLK_TCK")


def test_what_all_cores_did_is_read_from_the_system(tmp_path: Path):
    (tmp_path / "stat").write_text(
        f"cpu  {TICK} {TICK} {TICK} 999 999 0 0 {TICK} 7 7\ncpu0 1\n", encoding="utf-8"
    )
    assert busy(tmp_path) == 4  # idle, waiting and guests (user's already) do not count
    (tmp_path / "cpuinfo").write_text(
        "processor: 0\nmodel name\t: Some Chip 9000\n", encoding="utf-8"
    )
    assert processor(tmp_path) == "Some Chip 9000"


def test_a_system_that_does_not_say_is_not_guessed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert busy(tmp_path) is None
    assert processor(tmp_path)
    monkeypatch.setattr(reading, "busy", lambda: None)
    assert Clock().machine(CPU).others is None


def test_the_load_of_others_leaves_out_what_was_measured(monkeypatch: pytest.MonkeyPatch):
    """Two cores: we worked 3 s of 4, both together 7 s, so others kept one core busy."""
    now = {"wall": 0.0, "own": 0.0, "busy": 100.0}
    monkeypatch.setattr(time, "perf_counter", lambda: now["wall"])
    monkeypatch.setattr(time, "process_time", lambda: now["own"])
    monkeypatch.setattr(reading, "busy", lambda: now["busy"])
    clock = Clock()
    now |= {"wall": 4.0, "own": 3.0, "busy": 107.0}
    made = clock.machine(CPU)
    assert made.others == 1
    assert "CPU" in made.device
    assert made.cores == os.cpu_count()
