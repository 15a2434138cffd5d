"""A ViT with further tokens in its sequence: where Robustness Tokens are put."""

from __future__ import annotations

import copy
import threading
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from engine.core.errors import BadKnob, UnsupportedModel
from engine.model.families import adapt
from engine.model.sparse import SparseViT
from engine.model.victim import Victim


class Inserted(nn.Module):
    """What stands before the blocks, and then the tokens after the first `at` of the sequence."""

    tokens: Tensor

    def __init__(self, before: nn.Module, tokens: Float[Tensor, "n d"], at: int) -> None:
        super().__init__()
        self.before, self.at = before, at
        self.register_buffer("tokens", tokens)  # of its state: `store.fingerprint` tells them apart

    def forward(self, x: Tensor) -> Tensor:
        x = self.before(x)
        own = self.tokens.to(x.dtype).expand(len(x), -1, -1)
        return torch.cat((x[:, : self.at], own, x[:, self.at :]), 1)


def hosted(victim: Victim, tokens: Float[Tensor, "n d"]) -> Victim:
    """The victim with n tokens after its prefix tokens, without positions; blocks do not see order.

    [cls, reg, r, patches]: they are prefix tokens of the new victim, which no head reads. Weights are
    shared; the gradient reaches `tokens` where these want one. Raises UnsupportedModel for a model
    without a plain sequence of so wide tokens, BadKnob where there is no token. Source: Pulfer et
    al., ECCV 2024; spec B1, C5.
    """
    count, wide = tokens.shape
    if wide != (own := width(victim)):
        raise UnsupportedModel(
            f"These Robustness Tokens are not for {victim.spec.name}: they are of {wide} numbers "
            f"each, and its own tokens of {own}.",
            "Choose those that were trained for it.",
        )
    if not count:
        raise BadKnob("Tokens", count, "one at least")
    with victim.lock:
        kept = (*victim.module.parameters(), *victim.module.buffers())
        module = copy.deepcopy(victim.module, {id(each): each for each in kept})
    module = _with(module, tokens.to(victim.device, victim.dtype))
    family, shapes = adapt(module, victim.spec.input_size)
    before = sum(each.tokens for each in victim.spec.blocks[:1])
    blocks = tuple(replace(each, tokens=before + count) for each in shapes)
    spec = replace(victim.spec, blocks=blocks, sites=family.sites)
    return replace(victim, spec=spec, module=module, family=family, lock=threading.RLock())


def width(victim: Victim) -> int:
    """How wide tokens are that this victim can host; raises UnsupportedModel where it can host none."""
    module = victim.module
    host = module.backbone if isinstance(module, SparseViT) else module
    if not isinstance(host, VisionTransformer):
        raise _unsupported(victim, f"is a {type(host).__name__}, no plain ViT")
    if type(host).forward_features is not VisionTransformer.forward_features:
        raise _unsupported(victim, "runs its blocks in a way of its own")
    if host.dynamic_img_size and not host.no_embed_class:
        raise _unsupported(victim, "makes its positions anew for every size of picture")
    if host.pool_include_prefix:
        raise _unsupported(victim, "would average the tokens into its answer")
    return host.embed_dim


def _with(module: Any, tokens: Tensor) -> nn.Module:
    if not isinstance(module, SparseViT):
        return _vit(module, tokens)
    bound = module.bound  # is of the tokens that the model had: those here are kept beside them
    wider = bound and replace(bound, most=tuple(each + len(tokens) for each in bound.most))
    return SparseViT(_vit(module.backbone, tokens), module.sparsifier, wider)


def _vit(host: Any, tokens: Tensor) -> Any:
    host.norm_pre = Inserted(host.norm_pre, tokens, host.num_prefix_tokens)
    host.num_prefix_tokens += len(tokens)
    return host


def _unsupported(victim: Victim, why: str) -> UnsupportedModel:
    return UnsupportedModel(
        f"{victim.spec.name} cannot host Robustness Tokens: it {why}.",
        "Choose a plain ViT or DeiT.",
    )
