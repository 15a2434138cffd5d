"""What no picture can cost more than: the promise of a bound, in MACs."""

from __future__ import annotations

from itertools import accumulate

import torch

from engine.core.errors import UnsupportedModel
from engine.model.sparse import cost
from engine.model.sparse.adavit import AdaViT
from engine.model.sparse.avit import AViT
from engine.model.sparse.pruner import Pruner
from engine.model.sparse.sparse_vit import SparseViT
from engine.model.sparse.trace import Trace


def ceiling(model: SparseViT) -> int:
    """MACs of a pass in which every block has as many tokens as the bound lets it have.

    Without a bound that is the dense pass, and AdaViT's deciders. Raises UnsupportedModel for a
    mechanism that is not known here.
    """
    layout, n = model.layout, model.layout.tokens
    blocks, bound = range(layout.depth), model.bound
    most = [min(n, bound.at(each, layout.prefix)) if bound else n for each in blocks]
    extra = 0
    match model.sparsifier:
        case AdaViT() as sparsifier:  # each block anew
            start, extra = sparsifier.start, sparsifier.overhead(layout)
            leaving = [*(n,) * start, *most[start:]]
            entering = leaving
        case AViT():  # for good, before the block; all run in the first
            leaving = entering = list(accumulate(most[1:], min, initial=n))
        case Pruner() as sparsifier:  # for good, inside the block
            drops = sparsifier.pruning(layout)
            allowed = (each if at in drops else n for at, each in enumerate(most))
            all_, *leaving = accumulate(allowed, min, initial=n)
            entering = [all_, *leaving[:-1]]
        case other:
            raise UnsupportedModel(f"What {other.title} may cost at most is not known.")
    n_in, n_out = (torch.tensor(each).unsqueeze(1) for each in (entering, leaving))
    on = torch.ones_like(n_in, dtype=torch.bool)
    every = torch.ones(layout.depth, 1, n, dtype=torch.bool)
    heads = torch.full_like(n_in, layout.heads)
    trace = Trace(
        layout, tuple(blocks), every, every.float(), n_in, n_out, heads, on, on, overhead=extra
    )
    return int(cost.macs(trace))
