"""What QuantAttack claims, claim by claim, by the letters of its rows."""

from __future__ import annotations

from engine.papers.paper import Says

SAYS = {
    "a": Says(
        "A change nobody sees multiplies the columns that LLM.int8 computes in 16 bits, which noise and other attacks do not.",
        "Baras et al., main experiment: against noise, PGD and Sponge",
    ),
    "b": Says(
        "The answer stays, because the loss asks for it.",
        "Baras et al., the loss’s classification term",
    ),
    "c": Says(
        "More columns in 16 bits cost more: up to 23 % more GPU memory, 11 % more time, 7 % more energy.",
        "Baras et al., abstract, on a GPU; here the multiplications and the time of a CPU",
    ),
    "d": Says(
        "One attacked picture makes its whole batch dearer, and a small batch most.",
        "Baras et al., batches",
    ),
    "e": Says(
        "One perturbation for any picture works too: less than one made for the picture, more than noise.",
        "Baras et al., universal variant",
    ),
    "f": Says(
        "A cap on 16-bit columns bounds the cost, at a price in accuracy.",
        "Baras et al., countermeasures; prices and detector are ours",
    ),
    "g": Says("Without the 16-bit path no picture changes the cost.", "Our control"),
}
