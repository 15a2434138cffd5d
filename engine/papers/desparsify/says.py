"""What DeSparsify claims, claim by claim, by the letters of its rows."""

from __future__ import annotations

from engine.papers.paper import Says

SAYS = {
    "a": Says(
        "Noise, and attacks that aim at the answer or at activations, wake next to no token.",
        "Yehezkel et al., Table 1",
    ),
    "b": Says(
        "A small change wakes the sleeping tokens and keeps the answer: it closes 74 % (ATS), 44 % (AdaViT), 100 % (A-ViT) of the gap to the dense model.",
        "Yehezkel et al., Table 1, DeiT-S at 16/255",
    ),
    "c": Says(
        "Blocks that use no token of clean pictures cannot be woken; AdaViT has such.",
        "Yehezkel et al., on AdaViT",
    ),
    "d": Says(
        "A larger budget wakes more; a picture’s own perturbation does more than its class’s, and that more than one for any picture.",
        "Yehezkel et al., Table 1 and other budgets",
    ),
    "e": Says(
        "One perturbation made on all mechanisms at once works on each, a little less than its own.",
        "Yehezkel et al., Table 1, ensemble",
    ),
    "f": Says(
        "A perturbation made for one mechanism does little to another.",
        "Yehezkel et al., transfer; the dense and the fixed-ratio model are our controls",
    ),
    "g": Says(
        "Without the term that keeps the answer most answers go, at nearly the same cost.",
        "Yehezkel et al., Figure 5",
    ),
    "h": Says(
        "A cap at the mean of clean pictures takes the attack’s gain and costs next to no accuracy.",
        "Yehezkel et al., countermeasures; attackers who know the bound, and the detector, are ours",
    ),
    "i": Says(
        "Pictures that are easy for the model gain more than hard ones.",
        "Yehezkel et al., on easy and hard pictures",
    ),
    "j": Says(
        "More tokens take more time and memory: 1.08 times the latency, 1.37 times the memory.",
        "Yehezkel et al., Table 2, ATS on DeiT-S, a GPU; here a CPU",
    ),
}
