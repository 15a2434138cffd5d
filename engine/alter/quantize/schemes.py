"""How a layer's input becomes int8: what is rounded, by which scale, and what stays outside."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from engine.alter.quantize.arithmetic import LEVELS, quantise_rows


class Rows(NamedTuple):
    """x (m, k) split for the two products: q int8 (m, k) times step (m, 1) stands for x outside
    `columns`; `side` (m, o) is x inside them, in x's own precision. q is 0 in `columns`.
    """

    q: Tensor
    step: Tensor
    columns: Tensor
    side: Tensor


class Scheme(Protocol):
    """A frozen value that splits the rows of a layer's input; x is never changed."""

    def __call__(self, x: Tensor) -> Rows: ...


@dataclass(frozen=True)
class Mixed:
    """LLM.int8() (Dettmers et al., NeurIPS 2022) as bitsandbytes 0.50 computes it (spec A1).

    With a = float16(x): columns O = {k : any_m |a[m, k]| >= threshold} (inclusive; the paper says
    "exceeds"), step[m] = max_k |a[m, k]| / 127 where only outlier *elements* are left out, so small
    values inside outlier columns still count; q = round(a / step) outside O. One value in one row
    takes its column out of int8 for the whole batch. A threshold of 0 leaves every column in int8,
    so that the work no longer depends on x (the outlier-free dynamic control).

    `cap` is a countermeasure, not in bitsandbytes: only the `cap` columns with the largest peaks
    leave int8; the rest stay, and their large values enlarge the step of their rows.
    """

    threshold: float
    cap: int | None = None

    def __call__(self, x: Tensor) -> Rows:
        limit = in_half(self.threshold)
        a = x.half().float()
        peak = torch.maximum(a.amax(1), -a.amin(1))
        columns = none(x)
        hit = (peak >= limit).nonzero()[:, 0]
        if len(hit):  # Only these rows hold outliers; all else needs no second look.
            size = a.index_select(0, hit).abs_()
            columns = self.choose(size.amax(0))
            inside = size.index_select(1, columns)
            size.index_copy_(1, columns, inside.masked_fill(inside >= limit, 0))
            peak = peak.index_copy(0, hit, size.amax(1))
        q = quantise_rows(a, peak[:, None]).index_fill_(1, columns, 0)
        return Rows(q, peak[:, None] / LEVELS, columns, x.index_select(1, columns))

    def choose(self, peaks: Tensor) -> Tensor:
        """Indices of the columns that leave int8, ascending, from the columns' peaks (k,)."""
        found = (peaks >= in_half(self.threshold)).nonzero()[:, 0]
        if self.cap is not None and len(found) > self.cap:
            found = found[peaks[found].topk(self.cap).indices].sort().values
        return found


@dataclass(frozen=True)
class Static:
    """Every column in int8 by one step fixed beforehand: q = clamp(round(x / step), -127, 127)."""

    peak: float

    def __call__(self, x: Tensor) -> Rows:
        step = x.new_full((x.shape[0], 1), self.peak / LEVELS, dtype=torch.float32)
        q = (x.float() / step).round_().clamp_(-LEVELS, LEVELS).to(torch.int8)
        return Rows(q, step, none(x), x[:, :0])


@dataclass(frozen=True)
class Clipped:
    """`then` on x clipped to [-limit, limit]: below the threshold no outlier is left."""

    limit: float
    then: Scheme

    def __call__(self, x: Tensor) -> Rows:
        return self.then(x.clamp(-self.limit, self.limit))


def none(x: Tensor) -> Tensor:
    """No columns."""
    return torch.empty(0, dtype=torch.long, device=x.device)


def in_half(threshold: float) -> float:
    """The threshold as float16 compares it; 0 means no decomposition, as in bitsandbytes."""
    return torch.tensor(threshold, dtype=torch.float16).item() if threshold else math.inf
