"""A victim that computes in bfloat16 where that is safe: faster crafting on hardware that has it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from engine.alter.alteration import Alteration
from engine.core.shapes import Logits
from engine.model.victim import Tap, Victim


@dataclass(frozen=True)
class BFloat16(Alteration):
    """The victim under torch's autocast to bfloat16: products with 8 bits of mantissa.

    Same weights, same sites; logits are float32. Meant for crafting: what is crafted is judged on
    the victim as it was.
    """

    name = "bfloat16"
    title = "bfloat16"
    paper = "Kalamkar et al., A Study of BFLOAT16 for Deep Learning Training, 2019"
    outermost = True

    def change(self, victim: Victim) -> Victim:
        family, exact = victim.family, victim.module

        def install(module: nn.Module, tap: Tap, stack: ExitStack) -> None:
            del module
            family.install(exact, tap, stack)

        def lens(module: nn.Module, stream: Tensor) -> Logits:
            del module
            assert family.lens
            with _coarsely(stream):
                return family.lens(exact, stream).float()

        changed = replace(family, install=install, lens=lens if family.lens else None)
        return Victim(victim.spec, _Autocast(exact), changed, victim.lock)


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
        with _coarsely(x):
            return self.exact(x).float()


@contextmanager
def _coarsely(x: Tensor) -> Generator[None]:
    with torch.autocast(x.device.type, torch.bfloat16):
        yield
