"""What Robustness Tokens claims, claim by claim, by the letters of its rows."""

from __future__ import annotations

from engine.papers.paper import Says

SAYS = {
    "Ba": Says(
        "Tokens cost untouched pictures next to nothing: 78.5 instead of 80.0 % right (DINOv2-S).",
        "Pulfer et al., main table; the bars are ours",
    ),
    "Bb": Says(
        "A picture attacked on the bare model keeps its feature where there are tokens: cosine 0.93 instead of 0.09 (DINOv2-S).",
        "Pulfer et al., main table; random tokens are our control",
    ),
    "Bc": Says(
        "Tokens still protect against an attacker who has them, or has trained some.",
        "Our question: no paper says",
    ),
    "Bd": Says(
        "Attacks drive activations up; tokens hold them down.",
        "Pulfer et al., figures of massive activations",
    ),
    "Be": Says(
        "One token brings most of the gain; more than ten bring little.",
        "Pulfer et al., number of tokens",
    ),
    "Bf": Says(
        "Do tokens change what an int8 model or a token sampler spends?",
        "Our question: no paper says",
    ),
}
