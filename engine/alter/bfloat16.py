"""A victim that computes in bfloat16 where that is safe: faster crafting on hardware that has it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

import torch
from torch import Tensor, nn

from engine.core.shapes import Logits
from engine.model.victim import Tap, Victim


def bfloat16(victim: Victim) -> Victim:
    """The victim under torch's autocast to bfloat16: products with 8 bits of mantissa.

    Same weights, same sites; logits are float32. Meant for crafting: what is crafted is judged on
    the victim as it was, as with every alteration.
    """
    family = victim.family

    def install(module: nn.Module, tap: Tap, stack: ExitStack) -> None:
        family.install(module.get_submodule("exact"), tap, stack)

    changed = replace(family, install=install, lens=None)
    return Victim(victim.spec, _Autocast(victim.module), changed, victim.lock)


def is_fast(where: torch.device) -> bool:
    """Whether the device has bfloat16 units: CUDA from Ampere on, a CPU with AMX or AVX512-BF16."""
    if where.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    has = torch.cpu.get_capabilities() if where.type == "cpu" else {}
    return bool(has.get("amx_bf16") or has.get("avx512_bf16"))


class _Autocast(nn.Module):
    def __init__(self, exact: nn.Module) -> None:
        super().__init__()
        self.exact = exact

    def forward(self, x: Tensor) -> Logits:
        with torch.autocast(x.device.type, torch.bfloat16):
            return self.exact(x).float()
