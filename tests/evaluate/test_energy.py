"""Energy is measured where there is a meter, and one sentence says why where there is none."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
import torch

from engine.core.errors import EngineError
from engine.evaluate import energy


class Refused(Exception):
    pass


def fake(monkeypatch: pytest.MonkeyPatch, **changes: object) -> None:
    """A board that has drawn 3 mJ more at every look, and a CUDA that is this machine's."""
    counter = iter(range(0, 10**6, 3))
    nvml = SimpleNamespace(
        NVMLError=Refused,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetTotalEnergyConsumption=lambda board: next(counter),
    )
    vars(nvml).update(changes)
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda where: None)
    board = SimpleNamespace(uuid="1234")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda where: board)


CUDA = torch.device("cuda")


def test_joules_are_the_counter_over_the_runs(monkeypatch: pytest.MonkeyPatch):
    fake(monkeypatch)
    runs: list[int] = []
    found = energy.joules(lambda: runs.append(1), CUDA, seconds=0.01)
    measured = len(runs) - 1  # the first is not measured
    assert found == pytest.approx(0.003 / measured)  # 3 mJ between two looks


def test_each_way_of_having_no_meter_is_a_sentence(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(EngineError, match="CPU is not an NVIDIA GPU"):
        energy.joules(lambda: None, torch.device("cpu"))
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(EngineError, match="pynvml is not installed"):
        energy.joules(lambda: None, CUDA)

    def refuse() -> None:
        raise Refused("driver not loaded")

    fake(monkeypatch, nvmlInit=refuse)
    with pytest.raises(EngineError, match="driver not loaded"):
        energy.joules(lambda: None, CUDA)
