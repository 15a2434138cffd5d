"""What a forward pass cost, read off its trace (spec section 7).

Multiply-accumulates of matrix products and convolutions; FLOPs are twice that. Norms, softmax,
activations, biases and ATS's sampling are not counted. The literature's "GFLOPS" of an image are
these MACs / 1e9. AdaViT's released counter differs (narrowed fc1, h d x h d projection) and its
numbers are not comparable to these for blocks with heads switched off.
"""

from __future__ import annotations

from torch import Tensor

from engine.model.sparse.trace import Layout, Trace


def block_macs(trace: Trace) -> Tensor:
    """MACs of each block, (l, b) int64.

    With a, f = MSA and FFN in use, A = h d the width of the heads in use, D the model's width:
    a (3 n_in D A + n_in^2 A + n_out n_in A + n_out A D) + f n_out MLP, MLP = 2 r D^2 for a plain
    one. This is the dense block for n_in = n_out = n and all heads. Deciders are in `macs`.
    """
    layout, n_in, n_out = trace.layout, trace.n_in, trace.n_out
    used = trace.heads * layout.head_dim
    project = (3 * n_in + n_out) * layout.width * used
    attend = (n_in + n_out) * n_in * used
    return trace.msa * (project + attend) + trace.ffn * n_out * layout.mlp


def macs(trace: Trace) -> Tensor:
    """MACs of each image, (b,) int64: embedding, blocks, deciders, head."""
    layout = trace.layout
    return block_macs(trace).sum(0) + layout.embed + layout.head + trace.overhead


def dense_macs(layout: Layout) -> int:
    """MACs of an image in the host without sparsifier."""
    n, inner = layout.tokens, layout.heads * layout.head_dim
    block = 4 * n * layout.width * inner + 2 * n * n * inner + n * layout.mlp
    return layout.embed + layout.depth * block + layout.head


def utilisation(trace: Trace) -> Tensor:
    """Token utilisation ratio of each image, (b,): mean over `trace.sparse` blocks of tokens used / n.

    A token is used in a block that runs either sub-layer on it; prefix tokens count. ATS: tokens
    that survive the block, over its sampling blocks only (DeSparsify's own figures imply that);
    A-ViT: tokens executed in blocks 2 to L; AdaViT: tokens on, over its deciding blocks. A dense
    pass has ratio 1.
    """
    used = trace.n_out * (trace.msa | trace.ffn)
    blocks = list(trace.sparse or range(trace.layout.depth))
    return used[blocks].float().mean(0) / trace.layout.tokens


def gain(adversarial: Tensor, clean: Tensor, dense: Tensor | int) -> Tensor:
    """(C_adv - C_clean) / (C_dense - C_clean): the share of the saving an attack took away.

    Any shape; nan where nothing was saved to begin with.
    """
    saved = dense - clean
    return ((adversarial - clean) / saved).where(saved != 0, float("nan"))
