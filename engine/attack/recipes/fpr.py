from __future__ import annotations

from dataclasses import dataclass, replace

from engine.attack.chain import Chain
from engine.attack.recipe import Momentum
from engine.attack.rule import DiversifyMaps, RememberBranches
from engine.core.knobs import knob
from engine.model.victim import Spec

VIT_BASE = (0, 1, 4, 9, 11)


@dataclass(frozen=True)
class FPR(Momentum):
    """Forward propagation refinement (Ren et al., CVPR 2025), on MI-FGSM.

    The forward pass is changed, the gradients follow. In the blocks 0, 1, 4, 9, 11 of ViT-B maps
    become softmax(A * U), U uniform in [1 - 25, 1 + 25] per head and pair; in every block branch
    outputs become 0.8 out_t + 0.3 E_{t-1}, with E_{t-1} what the step before passed on, held
    constant. Other depths take the blocks at the same relative depth. Departure: E starts anew
    with each attack; a port keeps it in a global and so lets pictures leak into each other.
    """

    name = "fpr"
    title = "FPR: a refined forward pass"
    paper = "Ren et al., Improving Adversarial Transferability on Vision Transformers via Forward Propagation Refinement, CVPR 2025"

    reach: float = knob(25.0, "Largest random factor of a map's entry, less one.", low=0, high=50)
    scale: float = knob(0.8, "Weight of this step's branch output.", low=0, high=1)
    decay: float = knob(0.3, "Weight of what the step before passed on.", low=0, high=1)

    def build(self, spec: Spec) -> Chain:
        blocks = frozenset(round(i * (spec.depth - 1) / 11) for i in VIT_BASE)
        return replace(
            self.mi_fgsm(),
            rules=(DiversifyMaps(blocks, self.reach), RememberBranches(self.scale, self.decay)),
        )
