from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from engine.attack.moment import Moment
from engine.attack.recipes.gama_pgd import GamaPGD, falling
from engine.attack.update import Update, stateless


@dataclass(frozen=True)
class GamaFW(GamaPGD):
    """GAMA-FW (Sriramanan et al., NeurIPS 2020): GAMA-PGD's loss by the steps of Frank and Wolfe.

    delta <- (1 - r_t) delta + r_t eps sign(g), which never leaves the ball; r_t is 0.5, a fifth of it
    from 60 % of the steps on and a 25th from 85 %.
    """

    name = "gama_fw"
    title = "GAMA-FW: guided, by steps towards corners"

    def update(self) -> Update:
        def towards(g: Tensor, at: Moment) -> Tensor:
            assert at.x is not None  # an update is told it
            return 0.5 * falling(at, 5) * (at.x0 + self.eps * g.sign() - at.x)

        return stateless(towards)
