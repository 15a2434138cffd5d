"""Int8 alterations: a victim whose linear layers inside blocks run in int8, the head as it was."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from math import floor

import torch
from torch import nn

from engine.alter.alteration import Alteration
from engine.alter.quantize.linear import Int8Linear, Int8Pointwise, Linear, Work, sizes
from engine.alter.quantize.peaks import Peaks, projections
from engine.alter.quantize.schemes import Clipped, Mixed, Scheme, Static
from engine.core.errors import EngineError, UnsupportedModel
from engine.core.knobs import knob
from engine.core.shapes import Images
from engine.model.victim import Victim


def quantize(
    victim: Victim, scheme: Callable[[str, Linear], Scheme], *, compact: bool = False
) -> Victim:
    """A copy of the victim whose linear layers inside blocks are int8; the victim is not touched.

    `scheme(path, layer)` says how the input of each layer is split. Patch embedding, norms,
    softmax, attention products and head stay as they were (spec A1). Hooks on LINEAR_IN and all
    other sites go on working. Raises UnsupportedModel where there is no such layer, or where the
    model does not call one as a module (it would silently run in float).
    """
    with victim.lock:
        memo: dict[int, object] = {
            id(layer): _made(_float(layer), scheme(path, layer), compact)
            for path, layer in projections(victim.module).items()
        }
        module = copy.deepcopy(victim.module, memo)
    made = replace(victim, module=module, lock=threading.RLock())
    _check_reached(made)
    return made


@contextmanager
def collect(victim: Victim) -> Generator[Mapping[str, Work]]:
    """What each int8 layer did in the latest pass, by its path; filled while the `with` is open."""
    found = _layers(victim)
    done: dict[str, Work] = {}
    with victim.lock:
        try:
            for path, layer in found.items():
                layer.report = partial(done.__setitem__, path)
            yield done
        finally:
            for layer in found.values():
                layer.report = None


def _made(layer: nn.Linear | nn.Conv2d, scheme: Scheme, compact: bool) -> Int8Linear:
    kind = Int8Pointwise if isinstance(layer, nn.Conv2d) else Int8Linear
    return kind(layer, scheme, compact=compact)


def _float(layer: Linear) -> nn.Linear | nn.Conv2d:
    if isinstance(layer, Int8Linear):
        raise UnsupportedModel("This model is int8 already.", "Quantise the float model.")
    return layer


def _layers(victim: Victim) -> dict[str, Int8Linear]:
    found = {
        path: part for path, part in victim.module.named_modules() if isinstance(part, Int8Linear)
    }
    if not found:
        raise EngineError(
            f"{victim.spec.name} has no int8 layers.", "Apply an int8 alteration to it first."
        )
    return found


def _check_reached(victim: Victim) -> None:
    size = victim.spec.input_size
    blank = torch.zeros(1, 3, size, size, device=victim.device)
    try:
        with torch.no_grad(), collect(victim) as done:
            victim.logits(blank)
    except (AttributeError, RuntimeError, TypeError) as error:
        raise UnsupportedModel(
            f"{victim.spec.name} cannot run in int8.",
            "It reads the weights of its linear layers itself.",
        ) from error
    if left := _layers(victim).keys() - done.keys():
        raise UnsupportedModel(f"{victim.spec.name} never calls its layer {min(left)}.")


@dataclass(frozen=True)
class Int8(Alteration):
    """LLM.int8() with mixed decomposition, as bitsandbytes 0.50 runs it (spec A1; `Mixed`).

    `threshold` 0 is the outlier-free dynamic control. `budget` and `clip` are countermeasures
    (spec A10): per layer at most floor(budget k) columns leave int8; inputs are clipped to +-clip.
    """

    name = "int8"
    title = "LLM.int8"
    paper = (
        "Dettmers et al., LLM.int8(): 8-bit Matrix Multiplication for Transformers at Scale, "
        "NeurIPS 2022"
    )

    threshold: float = knob(
        6.0,
        "Inputs of at least this size leave int8; 0 keeps all inside.",
        low=0,
        high=100,
        main=True,
    )
    product: str = knob(
        "all columns",
        "The int8 product spans all columns, as bitsandbytes, or drops outliers, as the paper.",
        label="Int8 product",
        choices=("all columns", "compact"),
    )
    budget: float = knob(
        1.0, "Largest share of a layer's columns that may leave int8.", low=0, high=1
    )
    clip: float = knob(0.0, "Inputs are clipped to this size; 0 does not clip.", low=0, high=100)

    def change(self, victim: Victim) -> Victim:
        return quantize(victim, self.scheme, compact=self.product == "compact")

    def scheme(self, path: str, layer: Linear) -> Scheme:
        """The split of one layer's input."""
        del path
        cap = None if self.budget == 1 else floor(self.budget * sizes(layer)[0])
        mixed = Mixed(self.threshold, cap)
        return Clipped(self.clip, mixed) if self.clip else mixed


@dataclass(frozen=True, eq=False)
class NetBudget(Alteration):
    """`Int8` under one budget for the whole net: sum_l cap_l m_l n_l <= share sum_l k_l m_l n_l.

    Caps are bought beforehand from clean pictures (`Peaks.caps`), so the bound holds for any input
    (spec A10, "global budget").
    """

    name = "int8-budget"
    title = "LLM.int8 under a budget"
    paper = Int8.paper

    images: Images = field(repr=False)
    threshold: float = knob(6.0, "Inputs of at least this size leave int8.", low=0, high=100)
    share: float = knob(
        0.01, "Largest share of all multiplications that may run outside int8.", low=0, high=1
    )

    def change(self, victim: Victim) -> Victim:
        caps = Peaks.of(victim, self.images).caps(self.threshold, self.share)
        return quantize(victim, lambda path, _: Mixed(self.threshold, caps[path]))


@dataclass(frozen=True, eq=False)
class StaticInt8(Alteration):
    """Post-training static int8: each layer's input has one step, its peak over clean pictures.

    The control without any dynamic path: its work cannot depend on the input.
    """

    name = "int8-static"
    title = "static int8"
    paper = "Jacob et al., Quantization and Training of Neural Networks, CVPR 2018"

    images: Images = field(repr=False)

    def change(self, victim: Victim) -> Victim:
        peaks = Peaks.of(victim, self.images)
        return quantize(victim, lambda path, _: Static(peaks.top(path)))
