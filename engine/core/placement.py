"""Where tensors live: one device, chosen once."""

from __future__ import annotations

import functools
import os

import torch


@functools.cache
def device() -> torch.device:
    """The accelerator if there is one, else the CPU; `LAB_DEVICE` overrides."""
    named = os.environ.get("LAB_DEVICE")
    if named:
        return torch.device(named)
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def describe(where: torch.device) -> str:
    """The device in words, for captions: a time on the page says what it was measured on."""
    if where.type == "cuda":
        return torch.cuda.get_device_name(where)
    threads = torch.get_num_threads()
    return f"{where.type.upper()}, {threads} thread{'s' if threads > 1 else ''}"
