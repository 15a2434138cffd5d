"""What AAS-AT claims, claim by claim, by the letters of its rows."""

from __future__ import annotations

from engine.papers.paper import Says

SAYS = {
    "R1": Says(
        "A model trained on attacked pictures withstands them; it pays with untouched ones.",
        "Madry et al.; AAS, Tables 4 and 5",
    ),
    "R2": Says(
        "Trained with attention scaling it withstands more: 56.6 instead of 53.1 % under AutoAttack on CIFAR-10.",
        "AAS, Table 5",
    ),
    "D7": Says(
        "Training with attention scaling closes the gap that attention scaling opens: from 4.9 to 0.3 points on CIFAR-10.",
        "AAS, Table 5",
    ),
    "M1": Says(
        "Where nothing hides the gradient, five times the steps gain little.",
        "A sign of masking: Athalye et al.; AAS, Figure 4",
    ),
    "M2": Says("Attention scaling finds what PGD alone does not.", "AAS, Table 3"),
    "M3": Says(
        "A model’s own gradient does better than noise, and than pictures made on another model.",
        "A sign of masking: Athalye et al.",
    ),
    "M4": Says("AutoAttack, much stronger, finds little more.", "A sign of masking; AAS, Table 5"),
    "M5": Says(
        "A budget that is large enough leaves nothing.",
        "A sign of masking: Athalye et al.; AAS, Figure 5",
    ),
}
