"""How large the inputs of a model's linear layers get, from which counts at any threshold follow."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from engine.alter.quantize.linear import (
    MAPPED,
    Int8Linear,
    Int8Pointwise,
    Linear,
    Work,
    places,
    sizes,
)
from engine.alter.quantize.schemes import in_half
from engine.core.errors import UnsupportedModel
from engine.core.shapes import Images, PerExample
from engine.model.hooking import on_input
from engine.model.victim import Victim

SLOTS = {name: name for name in ("qkv", "q", "k", "v", "proj", "fc1", "fc2")} | {
    "conv1": "fc1",
    "conv3": "fc2",
}
"""timm's names of the linear layers of a transformer block, and the slots of Site.LINEAR_IN."""
ONE = (1, 1)


def projections(module: nn.Module) -> dict[str, Linear]:
    """The linear layers of blocks with attention, by path: what LLM.int8() replaces, no head.

    These are the layers of Site.LINEAR_IN, so that every count is of the same columns. Visformer's
    are 1x1 convolutions, the same product over a map's places; published LLM.int8() would leave
    them in float. Patch merging between stages and CaiT's products over heads are left out. Raises
    UnsupportedModel where there is none.
    """
    found = {
        path: part
        for path, part in module.named_modules()
        if isinstance(part, nn.Linear | nn.Conv2d | Int8Linear) and _projects(module, path, part)
    }
    if not found:
        raise UnsupportedModel(
            f"{type(module).__name__} has no linear layers inside blocks.",
            "Quantisation by columns is for transformers.",
        )
    return found


def _projects(module: nn.Module, path: str, part: Linear) -> bool:
    parent, _, name = path.rpartition(".")
    if not isinstance(part, nn.Conv2d | Int8Pointwise):
        return name in SLOTS and "blocks" in path
    if isinstance(part, nn.Conv2d) and (part.kernel_size, part.stride, part.groups) != (
        ONE,
        ONE,
        1,
    ):
        return False
    owner, _, branch = parent.rpartition(".")
    # A stage without attention is a CNN's: there a 1x1 convolution is not a transformer's layer.
    attentive = getattr(module.get_submodule(owner), "attn", None) is not None
    return name in SLOTS and branch in ("attn", "mlp") and attentive


class Shape(NamedTuple):
    """A layer multiplies m rows of a picture, k inputs, n outputs; it is `hf` of HF's layers."""

    m: int
    k: int
    n: int
    hf: int

    @property
    def column(self) -> int:
        """Multiplications that one column costs."""
        return self.m * self.n

    @property
    def macs(self) -> int:
        return self.column * self.k


@dataclass(frozen=True)
class Peaks:
    """max over tokens of |x| for every input column of every linear layer, each (b, k), by path.

    Threshold-free: a column of a picture is an outlier at t if its peak, rounded to float16, is
    >= t, as the layer itself compares (spec A1, A2). For a batch a column counts if any picture
    has it: its peak is the maximum over pictures.
    """

    columns: Mapping[str, Tensor]
    shapes: Mapping[str, Shape]

    @staticmethod
    def of(victim: Victim, images: Images) -> Peaks:
        """One pass over the images, without gradient, on any victim, quantised or not."""
        layers = projections(victim.module)
        columns: dict[str, Tensor] = {}
        shapes: dict[str, Shape] = {}

        def note(path: str, x: Tensor) -> Tensor:
            k, n = sizes(layers[path])
            rows = places(x) if isinstance(layers[path], MAPPED) else x
            rows = rows.reshape(len(images), -1, k)
            columns[path] = torch.maximum(rows.amax(1), -rows.amin(1)).half().float()
            hf = 3 if path.endswith("qkv") else 1
            shapes[path] = Shape(rows.shape[1], k, n, hf)
            return x

        with victim.lock, torch.no_grad(), ExitStack() as stack:
            for path, layer in layers.items():
                stack.enter_context(on_input(layer, partial(note, path)))
            victim.logits(images.to(victim.device))
        return Peaks(columns, shapes)

    def together(self) -> Peaks:
        """The peaks of the whole batch as one input."""
        merged = {path: peak.amax(0, keepdim=True) for path, peak in self.columns.items()}
        return Peaks(merged, self.shapes)

    def counts(self, threshold: float) -> Mapping[str, Tensor]:
        """Outlier columns by layer, each (b,)."""
        t = in_half(threshold)
        return {path: (peak >= t).sum(1) for path, peak in self.columns.items()}

    def total(self, threshold: float) -> PerExample:
        """Outlier columns (b,)."""
        return torch.stack(list(self.counts(threshold).values())).sum(0)

    def hf_equivalent(self, threshold: float) -> PerExample:
        """Outlier columns (b,) with q, k and v as three layers, as Hugging Face's ViT has them."""
        return self._weighted(threshold, {path: each.hf for path, each in self.shapes.items()})

    def mac_share(self, threshold: float) -> PerExample:
        """sum_l O_l m_l n_l / sum_l k_l m_l n_l (b,): the share of multiplications outside int8."""
        weight = {path: each.column for path, each in self.shapes.items()}
        return self._weighted(threshold, weight) / sum(each.macs for each in self.shapes.values())

    def _weighted(self, threshold: float, weight: Mapping[str, int]) -> Tensor:
        counts = self.counts(threshold)
        return torch.stack([counts[path] * weight[path] for path in counts]).sum(0)

    def work(self, threshold: float) -> dict[str, Work]:
        """What an int8 victim of this threshold would do with all these pictures as one batch."""
        t = in_half(threshold)
        return {
            path: Work(
                len(peak) * self.shapes[path].m,
                self.shapes[path].k,
                self.shapes[path].n,
                (peak.amax(0) >= t).nonzero()[:, 0],
            )
            for path, peak in self.columns.items()
        }

    def threshold_for(self, share: float) -> float:
        """The threshold at which this share of a picture's columns is an outlier, on average."""
        values = torch.cat([peak.flatten() for peak in self.columns.values()]).sort().values
        return float(values[min(int((1 - share) * len(values)), len(values) - 1)])

    def top(self, path: str) -> float:
        """The largest input of one layer."""
        return float(self.columns[path].max())

    def caps(self, threshold: float, share: float) -> dict[str, int]:
        """Columns that each layer may promote so that sum_l cap_l m_l n_l <= share sum_l k_l m_l n_l.

        The r-th column of layer l is worth P(O_l >= r), how often these pictures use it, and costs
        m_l n_l multiplications; columns are bought by worth per cost until the budget is spent.
        Worth falls with r, so buying in this order is optimal for the fractional problem.
        """
        left = share * sum(each.macs for each in self.shapes.values())
        offers: list[tuple[float, str]] = []
        for path, count in self.counts(threshold).items():
            shape = self.shapes[path]
            rank = torch.arange(1, shape.k + 1, device=count.device)
            used = (count[:, None] >= rank).float().mean(0) / shape.column
            offers += [(-worth, path) for worth in used.tolist() if worth > 0]
        caps = dict.fromkeys(self.shapes, 0)
        for _, path in sorted(offers):
            if self.shapes[path].column <= left:
                left -= self.shapes[path].column
                caps[path] += 1
        return caps
