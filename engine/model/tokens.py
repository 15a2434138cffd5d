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

from engine.core.errors import UnsupportedModel
from engine.model.families import adapt
from engine.model.sparse import SparseViT
from engine.model.victim import Victim


class Inserted(nn.Module):
    """What stands before the blocks, and then the tokens after the first `at` of the sequence."""

    tokens: Tensor

    def __init__(self, before: nn.Module, tokens: Float[Tensor, "n d"], at: int) -> None:
        super().__init__()
        self.before, self.at = before, at
        self.register_buffer("tokens", tokens)  # of its state, so that `store.fingerprint` tells it apart

    def forward(self, x: Tensor) -> Tensor:
        x = self.before(x)
        own = self.tokens.to(x.dtype).expand(len(x), -1, -1)
        return torch.cat((x[:, : self.at], own, x[:, self.at :]), 1)


def hosted(victim: Victim, tokens: Float[Tensor, "n d"]) -> Victim:
    """The victim with n tokens after its prefix tokens, without positions; blocks do not see order.

    [cls, reg, r, patches]: they are prefix tokens of the new victim, which no head reads. Weights are
    shared; the gradient reaches `tokens` where these want one. Raises UnsupportedModel for a model
    without a plain sequence of so wide tokens. Source: Pulfer et al., ECCV 2024; spec B1, C5.
    """
    with victim.lock:
        kept = (*victim.module.parameters(), *victim.module.buffers())
        module = copy.deepcopy(victim.module, {id(each): each for each in kept})
    module = _with(module, tokens.to(victim.device, victim.dtype))
    family, blocks = adapt(module, victim.spec.input_size)
    spec = replace(victim.spec, blocks=blocks, sites=family.sites)
    return replace(victim, spec=spec, module=module, family=family, lock=threading.RLock())


def _with(module: nn.Module, tokens: Tensor) -> nn.Module:
    if isinstance(module, SparseViT):
        return SparseViT(_vit(module.backbone, tokens), module.sparsifier, module.bound)
    return _vit(module, tokens)


def _vit(module: nn.Module, tokens: Tensor) -> VisionTransformer:
    if not isinstance(module, VisionTransformer):
        raise _unsupported(f"is a {type(module).__name__}, not a VisionTransformer")
    if tokens.shape[1:] != (module.embed_dim,):
        raise _unsupported(f"has tokens of {module.embed_dim} numbers, these {tokens.shape[-1]}")
    if module.dynamic_img_size and not module.no_embed_class:
        raise _unsupported("makes its positions anew for every size of picture")
    if module.pool_include_prefix:
        raise _unsupported("would average the tokens into its answer")
    host: Any = module
    host.norm_pre = Inserted(host.norm_pre, tokens, host.num_prefix_tokens)
    host.num_prefix_tokens += len(tokens)
    return module


def _unsupported(why: str) -> UnsupportedModel:
    return UnsupportedModel(
        f"This model cannot host Robustness Tokens: it {why}.", "Choose a plain ViT or DeiT."
    )
