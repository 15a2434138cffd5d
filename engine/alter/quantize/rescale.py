"""Rescaling that leaves the float function as it is and changes which columns are outliers."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from engine.alter.alteration import Alteration
from engine.alter.quantize.peaks import Peaks
from engine.core.errors import UnsupportedModel
from engine.core.knobs import knob
from engine.core.shapes import Images
from engine.model.victim import Victim

Factor = Callable[[str, Tensor], Tensor]
"""Path of a layer and its weight (n, k) -> by how much each of its inputs grows (k,)."""


def rescale(victim: Victim, factor: Factor) -> Victim:
    """A copy in which inputs j of layers behind a LayerNorm are f_j times as large: same function.

    gain, bias of the norm times f_j; column j of the weights behind it divided by f_j (spec C7 A
    11). Inputs of attn.proj and mlp.fc2 do not come from a norm and stay. Raises UnsupportedModel
    where there is no such pair, or the outputs are not the same.
    """
    with victim.lock:
        module = copy.deepcopy(victim.module)
    changed = 0
    for norm, layers in _pairs(module):
        path, layer = next(iter(layers.items()))
        f = factor(path, layer.weight).to(layer.weight)
        for gain in (norm.weight, norm.bias):
            gain.data.mul_(f)
        for each in layers.values():
            each.weight.data.div_(f)
        changed += 1
    made = replace(victim, module=module, lock=threading.RLock())
    if not changed or not _same(victim, made):
        raise UnsupportedModel(
            f"{victim.spec.name} cannot be rescaled.",
            "It needs LayerNorms with gain and bias straight before attn.qkv and mlp.fc1.",
        )
    return made


def _pairs(module: nn.Module) -> Iterator[tuple[nn.LayerNorm, dict[str, nn.Linear]]]:
    """Norms of timm's pre-norm blocks with all the linear layers that read them, by path."""
    for path, part in module.named_modules():
        block: Any = part
        for norm, branch, names in (
            ("norm1", "attn", ("qkv", "q", "k", "v")),
            ("norm2", "mlp", ("fc1",)),
        ):
            before, reader = getattr(block, norm, None), getattr(block, branch, None)
            found = {f"{path}.{branch}.{name}": getattr(reader, name, None) for name in names}
            layers = {at: each for at, each in found.items() if isinstance(each, nn.Linear)}
            if isinstance(before, nn.LayerNorm) and layers:
                yield before, layers


def _same(one: Victim, other: Victim) -> bool:
    """Equal logits on a picture of noise, up to float32's rounding in a deep net."""
    size = one.spec.input_size
    noise = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        a, b = (each.logits(noise.to(one._mean)) for each in (one, other))  # pyright: ignore[reportPrivateUsage]
    return bool(torch.allclose(a, b, rtol=1e-3, atol=1e-3 * float(a.abs().max())))


@dataclass(frozen=True)
class Magnify(Alteration):
    """Every input behind a norm `factor` times as large: as int8 sees it, the threshold / factor.

    A way to give a small net the outliers of a large one (spec C6 iii): the float function is
    unchanged, only the int8 statistics are.
    """

    name = "magnify"
    title = "magnified inputs"
    paper = ""

    factor: float = knob(1.0, "How many times larger inputs become.", low=0.01, high=100)

    def change(self, victim: Victim) -> Victim:
        return rescale(victim, lambda _, weight: weight.new_full((weight.shape[1],), self.factor))


@dataclass(frozen=True, eq=False)
class SmoothQuant(Alteration):
    """Outliers moved into the weights: a countermeasure.

    Inputs x_j / s_j, weight columns times s_j, s_j = max|X_j|^alpha / max|W_j|^(1 - alpha) over
    clean pictures, at the layers behind a norm only.
    """

    name = "smoothquant"
    title = "SmoothQuant"
    paper = "Xiao et al., SmoothQuant, ICML 2023"

    images: Images = field(repr=False)
    alpha: float = knob(0.5, "Share of the difficulty that weights take over.", low=0, high=1)

    def change(self, victim: Victim) -> Victim:
        columns = Peaks.of(victim, self.images).columns

        def factor(path: str, weight: Tensor) -> Tensor:
            tiny = 1e-5
            x = columns[path].amax(0).clamp_min(tiny)
            w = weight.abs().amax(0).clamp_min(tiny)
            return w ** (1 - self.alpha) / x**self.alpha

        return rescale(victim, factor)
