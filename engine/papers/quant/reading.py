"""What an int8 victim does with pictures one by one, and statistics that QuantAttack's claims need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.alter.quantize.int8 import Int8, NetBudget, StaticInt8, collect
from engine.alter.quantize.rescale import SmoothQuant
from engine.attack.attack import Attack, run
from engine.attack.constraint import to_8bit
from engine.core.shapes import Images, Labels
from engine.core.streams import Streams
from engine.evaluate.judge import shown
from engine.model.task import Task
from engine.model.victim import Victim


@dataclass(frozen=True)
class Doing:
    """What is being computed, and how much of it is done."""

    what: str
    done: int
    total: int


@dataclass(frozen=True)
class Reading:
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


def read(victim: Victim, pixels: Tensor) -> Reading:
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
    return Reading(torch.stack(masks), torch.cat(macs), torch.cat(hf), torch.cat(answers))


@dataclass(frozen=True)
class Countermeasure:
    """An int8 alteration that bounds the cost: `bound` is the share it promises never to exceed."""

    name: str
    alter: Callable[[Victim], Victim]
    bound: float | None = None


def countermeasures(calibration: Images, threshold: float) -> tuple[Countermeasure, ...]:
    """What can be done about it (spec A10), calibrated on clean pictures where it has to be."""
    return (
        Countermeasure("budget of 1 % per layer", Int8(threshold, budget=0.01), 0.01),
        Countermeasure(
            "budget of 0.5 % of the net", NetBudget(calibration, threshold, 0.005), 0.005
        ),
        Countermeasure("clipping under the threshold", Int8(threshold, clip=threshold * 0.99), 0.0),
        Countermeasure("no decomposition", Int8(0.0), 0.0),
        Countermeasure("static int8", StaticInt8(calibration), 0.0),
        Countermeasure(
            "SmoothQuant", lambda victim: Int8(threshold)(SmoothQuant(calibration)(victim))
        ),
    )


@dataclass(frozen=True)
class Crafted:
    """One batch done: `done` of `total` pictures, and the 8-bit results (b, 3, y, x) on the CPU."""

    done: int
    total: int
    pixels: Tensor


def craft_all(
    attack: Attack,
    victim: Victim,
    pixels: Tensor,
    labels: Labels,
    *,
    eps: float,
    seed: int,
    batch: int,
) -> Iterator[Crafted]:
    """Attack 8-bit pictures batch by batch; each picture's result does not depend on its batch."""
    for start in range(0, len(pixels), batch):
        clean = shown(pixels[start : start + batch], victim)
        task = Task(clean, labels[start : start + batch].to(clean.device))
        x = clean
        rows = tuple(range(start, start + len(clean)))
        for state, _ in run(attack, victim, task, Streams(seed, rows)):
            x = state.x
        saved = to_8bit(x, clean, eps).cpu()
        yield Crafted(start + len(clean), len(pixels), saved)


def spearman(a: Tensor, b: Tensor, weights: Tensor) -> Tensor:
    """Rank correlation of a and b (n,) under weights (d, n), ties at their mean rank: (d,).

    Ranks are those in the whole set, as the bootstrap of a fixed ranking.
    """
    x, y = ranks(a), ranks(b)
    total = weights.sum(1)

    def mean(v: Tensor) -> Tensor:
        return weights @ v / total

    covariance = mean(x * y) - mean(x) * mean(y)
    spread = (mean(x * x) - mean(x) ** 2) * (mean(y * y) - mean(y) ** 2)
    return covariance / spread.clamp_min(1e-300).sqrt()


def ranks(values: Tensor) -> Tensor:
    """Rank of each value (n,), equal values sharing their mean rank."""
    v = values.double()
    below = (v[:, None] > v).sum(1)
    equal = (v[:, None] == v).sum(1)
    return below.double() + (equal.double() - 1) / 2


def noisy(pixels: Tensor, eps: float, seed: int) -> Tensor:
    """8-bit pictures plus sign noise of the full budget: what any attack must beat."""
    gen = Streams(seed).at("noise")
    sign = torch.randint(0, 2, pixels.shape, generator=gen) * 2 - 1
    bound = int(eps * 255 + 1e-4)
    return (pixels.int() + bound * sign).clamp(0, 255).to(torch.uint8)
