"""What TGR claims, claim by claim, by the letters of its rows."""

from __future__ import annotations

from engine.papers.paper import Says

SAYS = {
    "C1": Says(
        "Attacks made with TGR fool other ViTs more often than those of the best method before it, by 8.8 % on average.",
        "Zhang et al., abstract",
    ),
    "C2": Says(
        "They fool convolutional networks more often, too, by 6.2 % on average.",
        "Zhang et al., abstract",
    ),
    "C3": Says(
        "On the model that it is made on, TGR fools nearly always.",
        "TransferAttack’s table: 99.8 % on ViT-B/16",
    ),
    "C4": Says(
        "Taming the gradients of attention, of QKV or of the MLP helps alone; all three together help most.",
        "Zhang et al., ablation over components",
    ),
    "C5": Says(
        "Removing a few extreme tokens is best: none is too few, many are too many.",
        "Zhang et al., ablation over k",
    ),
    "C6": Says(
        "The damping factors and the removal of extreme tokens each have a share in the gain.",
        "Our question: it separates TGR’s two effects",
    ),
    "C7": Says(
        "Gradients in the blocks vary less under TGR.",
        "Zhang et al., abstract: the reason they give; measured here so that no factor can feign it",
    ),
    "C8": Says(
        "PatchOut on top of TGR helps further.",
        "Zhang et al., TGR with PatchOut; an option of their code",
    ),
    "C9": Says(
        "ATT, which came later, travels further than TGR.",
        "TransferAttack’s table: 72.2 against 68.8 % on average",
    ),
}
