from __future__ import annotations

from dataclasses import dataclass, replace

from engine.attack.chain import Chain
from engine.attack.recipe import Momentum
from engine.attack.view import ResizeAndPad
from engine.core.knobs import knob
from engine.model.victim import Spec


@dataclass(frozen=True)
class DIM(Momentum):
    """Diverse inputs method (Xie et al., CVPR 2019) on MI-FGSM.

    With probability p the model sees the picture resized up to 1.1 times its side, padded at a
    random place, and brought back to its own size. Departures, shared with later ports: the
    published code leaves the larger size (330 for 299) to the CNN, a ViT cannot read it; and
    here every picture of a batch has its own draw.
    """

    name = "dim"
    title = "DIM: randomly resized and padded input"
    paper = "Xie et al., Improving Transferability of Adversarial Examples with Input Diversity, CVPR 2019"

    chance: float = knob(0.5, "How often the picture is transformed.", low=0, high=1)
    grow: float = knob(1.1, "Largest growth of the side.", low=1, high=1.5)

    def build(self, spec: Spec) -> Chain:
        del spec
        return replace(self.mi_fgsm(), view=ResizeAndPad(self.chance, self.grow))
