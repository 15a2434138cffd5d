"""ViTs run by a sparsifier: the sites of their host, and what the sparsifier decides."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from engine.core.errors import UnsupportedModel
from engine.model.families import vit
from engine.model.families.parts import Taps, linears
from engine.model.hooking import new_forward
from engine.model.sites import Site
from engine.model.sparse import cost
from engine.model.sparse.sparse_vit import SparseViT
from engine.model.victim import Family, Tap


def family(module: SparseViT) -> Family:
    """The adapter of a sparsified ViT.

    Branches (ATTN_OUT, MLP_OUT) are tapped before AdaViT's mask; maps show no attention on tokens
    that are gone, whose own rows are unread. COST is of the whole pass, tapped at the last block.
    FEATURE is there where all tokens last to the end: ATS drops some, and A-ViT gives the prefix alone.
    """
    return Family("sparse", module.sparsifier.sites | {Site.COST}, install, lens, attentions)


def install(module: nn.Module, tap: Tap, stack: ExitStack) -> None:
    if not isinstance(module, SparseViT):
        raise UnsupportedModel(f"{type(module).__name__} is not sparsified.")
    host: Any = module.backbone
    for index, block in enumerate(host.blocks):
        taps = Taps(tap, stack, index)
        taps.output(block.attn.qkv, Site.QKV)
        taps.output(block.drop_path1, Site.ATTN_OUT)
        taps.output(block.drop_path2, Site.MLP_OUT)
        taps.inputs(linears(block))
        if tap.need & {Site.SCORES, Site.ATTN}:
            whole = vit.explicit_attention(block.attn, tap, index)
            stack.enter_context(new_forward(block.attn, whole))

    vit.install_feature(host, tap, stack)

    def forward(x: Tensor) -> Tensor:
        logits, trace = module.trace(x, tap=tap)
        if Site.COST in tap.need:
            last, spent = trace.layout.depth - 1, cost.macs(trace)
            tap(Site.COST, last, spent, "macs")
            tap(Site.COST, last, torch.full_like(spent, cost.dense_macs(trace.layout)), "dense")
        return logits

    stack.enter_context(new_forward(module, forward))


def attentions(module: nn.Module) -> list[nn.Module]:
    return vit.attentions(module.get_submodule("backbone"))


def lens(module: nn.Module, stream: Tensor) -> Tensor:
    return vit.lens(module.get_submodule("backbone"), stream)
