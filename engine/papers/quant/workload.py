"""What pictures make an int8 victim do, one by one: which columns leave int8, and its answers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.alter.quantize.int8 import collect
from engine.core.shapes import Labels
from engine.evaluate.judge import shown
from engine.model.victim import Victim


@dataclass(frozen=True)
class Workload:
    """What n saved pictures, each alone, made an int8 victim do; all on the CPU.

    `outside` (n, columns): which input columns of all its layers left int8; `macs` (columns,):
    multiplications of one picture that each column stands for; `hf` (columns,): its weight in
    Hugging Face's count; `answers` (n,): the victim's classes.
    """

    outside: Tensor
    macs: Tensor
    hf: Tensor
    answers: Labels

    @property
    def columns(self) -> Tensor:
        """Outlier columns per picture (n,)."""
        return self.outside.double().sum(1)

    @property
    def hf_columns(self) -> Tensor:
        """Outlier columns per picture as Hugging Face's ViT has them (n,)."""
        return self.outside.double() @ self.hf

    @property
    def share(self) -> Tensor:
        """Share of multiplications outside int8, per picture (n,)."""
        return self.outside.double() @ self.macs / self.macs.sum()

    def batch_columns(self, rows: Tensor) -> Tensor:
        """Outlier columns of batches (d,) that hold the pictures `rows` (d, b): unions (spec A1.3)."""
        return torch.stack([self.outside[each].any(0).sum() for each in rows]).double()


def workload(victim: Victim, pixels: Tensor) -> Workload:
    """Show an int8 victim 8-bit pictures (n, 3, y, x), one at a time: batch-mates share columns."""
    masks: list[Tensor] = []
    answers: list[Tensor] = []
    macs: list[Tensor] = []
    hf: list[Tensor] = []
    for picture in pixels.split(1):
        with torch.no_grad(), collect(victim) as done:
            answers.append(victim.logits(shown(picture, victim)).argmax(1).cpu())
        parts: list[Tensor] = []
        for path, work in done.items():
            parts.append(
                torch.zeros(work.k, dtype=torch.bool).index_fill_(0, work.columns.cpu(), 1)
            )
            if not masks:
                macs.append(torch.full((work.k,), float(work.m * work.n), dtype=torch.float64))
                times = 3.0 if path.endswith("qkv") else 1.0
                hf.append(torch.full((work.k,), times, dtype=torch.float64))
        masks.append(torch.cat(parts))
    return Workload(torch.stack(masks), torch.cat(macs), torch.cat(hf), torch.cat(answers))
