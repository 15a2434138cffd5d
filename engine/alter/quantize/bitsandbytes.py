"""bitsandbytes' own layers as the victim, where somebody has CUDA and the package."""

from __future__ import annotations

import copy
import importlib
import threading
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from engine.alter.alteration import Alteration
from engine.alter.quantize.int8 import Int8
from engine.alter.quantize.linear import Int8Linear, Linear
from engine.alter.quantize.peaks import projections
from engine.core.errors import EngineError, UnsupportedModel
from engine.core.knobs import knob
from engine.model.victim import Victim


@dataclass(frozen=True)
class BitsAndBytes(Alteration):
    """LLM.int8() by bitsandbytes' `Linear8bitLt` in the layers that `Int8` replaces (spec A1, C3).

    What it costs is measured, not simulated; which columns leave int8 is counted by `Peaks`, since
    its layers read their input as `Int8` does. It casts inputs to float16. Raises EngineError
    where CUDA or the package is missing.
    """

    name = "bitsandbytes"
    title = "bitsandbytes"
    paper = Int8.paper

    threshold: float = knob(
        6.0, "Inputs of at least this size leave int8; 0 keeps all inside.", low=0, high=100
    )

    def change(self, victim: Victim) -> Victim:
        if victim.device.type != "cuda":
            raise EngineError(
                f"bitsandbytes runs on an NVIDIA GPU; this model is on {victim.device.type.upper()}.",
                "Int8 has the same semantics and runs here.",
            )
        return swapped(victim, self.threshold)


def swapped(victim: Victim, threshold: float) -> Victim:
    """A copy of the victim with bitsandbytes' layers, on its device; the victim is not touched."""
    try:
        bnb: Any = importlib.import_module("bitsandbytes")
    except ImportError as missing:
        raise EngineError(
            "The package bitsandbytes is not installed.", "Int8 has the same semantics without it."
        ) from missing

    def layer(linear: Linear) -> nn.Module:
        if isinstance(linear, Int8Linear):
            raise UnsupportedModel("This model is int8 already.", "Quantise the float model.")
        if isinstance(linear, nn.Conv2d):
            raise UnsupportedModel(
                f"{victim.spec.name}'s linear layers are 1x1 convolutions.",
                "bitsandbytes replaces nn.Linear only; Int8 runs them as the same product.",
            )
        made = bnb.nn.Linear8bitLt(
            linear.in_features,
            linear.out_features,
            bias="bias" in linear.state_dict(),
            has_fp16_weights=False,
            threshold=threshold,
        )
        made.load_state_dict(linear.state_dict())
        return made.to(linear.weight.device).eval()  # only .to() quantises

    with victim.lock:
        memo: dict[int, object] = {
            id(linear): layer(linear) for linear in projections(victim.module).values()
        }
        module = copy.deepcopy(victim.module, memo)
    return replace(victim, module=module, lock=threading.RLock())
