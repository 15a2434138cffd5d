"""What AAS claims, claim by claim, by the letters of its rows."""

from __future__ import annotations

from engine.papers.paper import Says

SAYS = {
    "D1": Says(
        "The largest attention score leads the others by so much that float32 rounds them to nothing.",
        "AAS, Conjecture 1 and Figure 2",
    ),
    "D2": Says(
        "So the gradient is lost for want of digits: where there are more of them it is found again.",
        "Our control of Conjecture 1: float64",
    ),
    "D3": Says(
        "One factor below 1 on all scores makes PGD stronger: 59.4 instead of 61.1 % are left on CIFAR-10.",
        "AAS, Table 1",
    ),
    "D4": Says(
        "Factors that are learned make it stronger than the best one set by hand: 58.0 instead of 59.4 %.",
        "AAS, Tables 1 and 2, CIFAR-10",
    ),
    "D5": Says(
        "Where scores are small the factors bring less.",
        "Our control: the same model with its scores multiplied",
    ),
    "D6": Says("AutoAttack stays the strongest, by about a point.", "AAS, Table 5"),
}
