"""What weights descend: losses on logits, each a mean over the batch, in float32 at the least."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Mean cross-entropy with soft targets: -(1/b) sum_i sum_k target_ik log softmax(logits_i)_k."""
    return -(target * log_probabilities(logits)).sum(dim=-1).mean()


def divergence(clean: Tensor, crafted: Tensor) -> Tensor:
    """KL(p || p') of each picture `(b,)`, p of the clean logits and p' of the crafted ones."""
    p = log_probabilities(clean)
    return (p.exp() * (p - log_probabilities(crafted))).sum(dim=-1)


def trades(clean: Tensor, crafted: Tensor, target: Tensor, beta: float) -> Tensor:
    """CE(z, y) + beta mean KL(p || p') (Zhang et al., 2019); both sides of KL have a gradient."""
    return cross_entropy(clean, target) + beta * divergence(clean, crafted).mean()


def mart(clean: Tensor, crafted: Tensor, target: Tensor, beta: float) -> Tensor:
    """mean BCE(p', y) + beta KL(p || p') (1 - p_y), BCE = CE(z', y) - log(1 - max_{j!=y} p'_j).

    y is the largest of the target. Source: Wang et al., 2020; tgr_aas spec 4.2. Departure: the
    exact 1 - p'_j, as a sum over the other classes, where the released code adds 0.0001.
    """
    right = F.one_hot(target.argmax(dim=-1), target.shape[-1]).bool()
    p, crafted_p = log_probabilities(clean), log_probabilities(crafted)
    rival = F.one_hot(crafted_p.masked_fill(right, -torch.inf).argmax(-1), p.shape[-1]).bool()
    margin = -crafted_p.masked_fill(rival, -torch.inf).logsumexp(dim=-1).mean()
    doubt = 1 - p[right].exp()
    return (
        cross_entropy(crafted, target) + margin + beta * (divergence(clean, crafted) * doubt).mean()
    )


def log_probabilities(logits: Tensor) -> Tensor:
    """log softmax, never in 16 bits."""
    return F.log_softmax(logits, dim=-1, dtype=torch.promote_types(logits.dtype, torch.float32))
