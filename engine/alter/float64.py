"""A victim in double precision: whether it is rounding that hides a gradient."""

from __future__ import annotations

import copy
import threading
from dataclasses import dataclass, replace

from engine.alter.alteration import Alteration
from engine.alter.quantize.linear import Int8Linear
from engine.core.errors import UnsupportedModel
from engine.model.victim import Victim


@dataclass(frozen=True)
class Float64(Alteration):
    """The whole victim in float64: a copy of its weights, its sites, its logits and its gradients.

    Nothing is rounded to float32 at its border, for there a loss would saturate again; an attack on
    it works on pictures in float64, too (`Task.on`). The float64 control of spec AAS 3.3.
    """

    name = "float64"
    title = "float64"
    paper = "IEEE 754 binary64; the control that tgr_aas spec 3.3 asks for"
    outermost = True

    def change(self, victim: Victim) -> Victim:
        if any(isinstance(part, Int8Linear) for part in victim.module.modules()):
            raise UnsupportedModel(
                f"{victim.spec.name} computes in int8, which float64 would leave as it is.",
                "Choose one of the two.",
            )
        with victim.lock:
            module = copy.deepcopy(victim.module).double()
        return replace(victim, module=module, lock=threading.RLock())
