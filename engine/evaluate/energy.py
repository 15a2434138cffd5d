"""Electrical energy of a job, where the machine has a meter: NVML on CUDA, with pynvml installed."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from typing import Any

import torch

from engine.core.errors import EngineError

LEAST_SECONDS = 1.0
"""NVML's counter moves about ten times a second: a shorter job would be lost in its steps."""


def joules(job: Callable[[], object], where: torch.device, seconds: float = LEAST_SECONDS) -> float:
    """Joules of one run of the job: the board's counter over as many runs as fit in `seconds`.

    The counter holds everything the board draws, idle power included, so that only the difference
    of two jobs is due to them. Raises EngineError, with the reason, where nothing can be measured.
    """
    read = _meter(where)
    job()
    torch.cuda.synchronize(where)
    before, began, runs = read(), time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        job()
        torch.cuda.synchronize(where)
        runs += 1
    return (read() - before) / 1000 / runs


def _meter(where: torch.device) -> Callable[[], int]:
    """The board's energy counter in millijoules."""
    if where.type != "cuda":
        raise EngineError(
            f"No energy meter: {where.type.upper()} is not an NVIDIA GPU.",
            "Energy is measured through NVML only.",
        )
    try:
        nvml: Any = importlib.import_module("pynvml")
    except ImportError as missing:
        raise EngineError(
            "No energy meter: the package pynvml is not installed.", "Install nvidia-ml-py."
        ) from missing
    try:
        nvml.nvmlInit()
        uuid = str(torch.cuda.get_device_properties(where).uuid)
        board = nvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid.removeprefix('GPU-')}")
        nvml.nvmlDeviceGetTotalEnergyConsumption(board)
    except nvml.NVMLError as refused:
        raise EngineError(f"No energy meter: NVML says “{refused}”.") from refused
    return lambda: int(nvml.nvmlDeviceGetTotalEnergyConsumption(board))
