from __future__ import annotations

from dataclasses import dataclass, replace

from engine.attack.chain import Chain
from engine.attack.recipes.tgr import TGR
from engine.attack.view import PatchOut
from engine.core.knobs import knob
from engine.model.victim import Spec


@dataclass(frozen=True)
class TGRPatchOut(TGR):
    """TGR shown a part of the perturbation at a time (Zhang et al., CVPR 2023).

    The two lines that the published code keeps commented out: the model sees x0 + M_t (x - x0) with
    130 of 196 patches; no length term.
    """

    name = "tgr_patchout"
    title = "TGR + PatchOut"

    share: float = knob(130 / 196, "Part of the patches shown per step.", low=0.05, high=1)

    def build(self, spec: Spec) -> Chain:
        return replace(super().build(spec), view=PatchOut(self.share))
