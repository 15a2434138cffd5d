"""What int8 layers cost by arithmetic alone: counted, never measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from engine.alter.quantize.linear import Work


@dataclass(frozen=True)
class Cost:
    """Multiplications inside and outside int8, and the bytes that outlier columns add (spec C4).

    With o_l outlier columns in layer l: macs8 = sum m k n (bitsandbytes) or sum m (k - o) n
    (compact), macs16 = sum m o n. A column gathers m inputs and n weights in 16 bits and n in 8:
    `moved` = sum (2 m + 3 n) o bytes, `peak` its largest layer.
    """

    columns: int
    macs8: int
    macs16: int
    all_macs: int
    moved: int
    peak: int

    @property
    def share(self) -> float:
        """Multiplications outside int8, as a share of those of the float model."""
        return self.macs16 / self.all_macs

    def energy(self, prices: Prices) -> float:
        """MODELLED energy of the multiplications in joules: e8 macs8 + e16 macs16."""
        return prices.int8 * self.macs8 + prices.half * self.macs16


@dataclass(frozen=True)
class Prices:
    """Joules of one multiply-add in int8 and in float16.

    Defaults: 45 nm arithmetic without memory, multiplication plus addition (Horowitz, Computing's
    Energy Problem, ISSCC 2014). A ratio to look at, not a measurement of any machine.
    """

    int8: float = 0.23e-12
    half: float = 1.5e-12


def cost(done: Iterable[Work], *, compact: bool = False) -> Cost:
    """The cost of a pass, from what `collect` saw or `Peaks.work` predicts."""
    columns = inside = outside = total = moved = peak = 0
    for m, k, n, chosen in done:
        o = len(chosen)
        extra = (2 * m + 3 * n) * o
        columns += o
        inside += m * (k - o if compact else k) * n
        outside += m * o * n
        total += m * k * n
        moved += extra
        peak = max(peak, extra)
    return Cost(columns, inside, outside, total, moved, peak)
