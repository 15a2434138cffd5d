"""Laws of adaptive token sampling (spec 1 and 8.1)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from engine.core.errors import BadKnob
from engine.model.sparse import ATS, Significance, SparseViT, cost
from engine.model.sparse import host as adapter
from engine.model.sparse.ats import Sampler, Score, sample, significance
from engine.model.sparse.pruner import Tokens
from engine.model.victim import Tap

NOBODY = Tap((), (), ())
Host = Callable[..., VisionTransformer]
EXACT = 1e-12  # float64 rounding through a few blocks is about 1e-15
SAMPLERS = pytest.mark.parametrize("sampler", ["midpoint", "reference"])


def dirichlet(concentration: float, rows: int, tokens: int) -> Tensor:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        shape = torch.full((rows, tokens), concentration, dtype=torch.float64)
        return torch.distributions.Dirichlet(shape).sample()


def picked(scores: list[float], picks: int, sampler: Sampler) -> set[int]:
    """Inverse-transform sampling of one image, written out from the papers."""
    order = sorted((j for j, s in enumerate(scores) if s > 0), key=lambda j: scores[j])
    c = [sum(scores[j] for j in order[: i + 1]) for i in range(len(order))]
    c = [each / c[-1] for each in c]
    if sampler == "midpoint":
        levels = [(2 * k - 1) / (2 * picks) for k in range(1, picks + 1)]
        return {order[next(i for i, each in enumerate(c) if each >= r)] for r in levels}
    c = [(each - c[0]) / (c[-1] - c[0]) for each in c]
    first = min(each for each in c if each > 0)
    levels = [first + (1 - first) * k / (picks - 1) for k in range(picks)]
    return {order[min(range(len(c)), key=lambda i: abs(r - c[i]))] for r in levels}


@SAMPLERS
@pytest.mark.parametrize("concentration", [0.3, 1.0, 5.0])
def test_the_sampler_equals_a_loop_over_the_papers_words(
    sampler: Sampler, concentration: float
) -> None:
    scores = dirichlet(concentration, rows=20, tokens=23)
    scores[::2, 3:9] = 0
    kept = sample(scores, 23, sampler)
    for row, own in zip(scores.tolist(), kept.tolist(), strict=True):
        assert {j for j, on in enumerate(own) if on} == picked(row, 23, sampler)


@pytest.mark.parametrize("concentration", [0.05, 0.3, 1.0, 5.0])
def test_midpoints_keep_as_many_as_the_sum_of_chances_says(concentration: float) -> None:
    """Sorted, the light tokens are hit at most once each, the heavy ones at least once."""
    scores = dirichlet(concentration, rows=200, tokens=196)
    counts = sample(scores, 196, "midpoint").sum(1)
    chances = (196 * scores).clamp_max(1).sum(1)
    assert (counts - chances).abs().max() <= 0.5 + 1e-9  # rounding of a cumulative sum
    reference = sample(scores, 196, "reference").sum(1)
    assert (counts - reference).abs().max() <= 2


def test_toy() -> None:
    kept = sample(torch.tensor([[0.7, 0.1, 0.1, 0.1]]), 4, "midpoint")
    assert kept.sum() == 2
    assert kept[0, 0]


@pytest.mark.parametrize("n", [1, 7, 196])
def test_uniform_scores_are_kept_whole_by_midpoints_and_all_but_one_by_the_reference(
    n: int,
) -> None:
    uniform = torch.full((1, n), 1 / n)
    assert sample(uniform, 196, "midpoint").all()
    if n > 1:
        assert sample(uniform, n, "reference").sum() == n - 1


@pytest.mark.parametrize("concentration", [0.05, 0.3, 1.0, 5.0])
def test_guarantees_of_the_midpoint_sampler(concentration: float) -> None:
    scores = dirichlet(concentration, rows=50, tokens=40)
    scores[:, 5:15] = 0
    scores = scores / scores.sum(1, keepdim=True)
    kept = sample(scores, 40, "midpoint")
    heavy = scores >= (1 + 1e-9) / 40  # beyond the rounding of a cumulative sum
    assert kept[heavy].all()
    assert not kept[scores == 0].any()
    assert (kept.sum(1) <= 30).all()


@SAMPLERS
def test_an_image_without_any_score_keeps_no_patch(sampler: Sampler) -> None:
    assert not sample(torch.zeros(2, 9), 9, sampler).any()


@pytest.mark.parametrize("score", ["concat", "per_head"])
def test_scores_equal_their_formula_and_skip_prefix_and_padding(score: Score) -> None:
    draw = torch.Generator().manual_seed(0)
    a = torch.rand(1, 3, 6, generator=draw).double()
    v = torch.randn(1, 3, 6, 4, generator=draw).double()
    valid = torch.tensor([[True, True, True, True, True, False]])
    raw = []
    for j in (2, 3, 4):
        heads = [(a[0, h, j].item(), v[0, h, j]) for h in range(3)]
        if score == "concat":
            raw.append(sum(w for w, _ in heads) * torch.cat([u for _, u in heads]).norm().item())
        else:
            raw.append(sum(w * u.norm().item() for w, u in heads))
    expected = [0, 0, *(each / sum(raw) for each in raw), 0]
    s = significance(a, v, valid, prefix=2, score=score)
    torch.testing.assert_close(
        s[0], torch.tensor(expected, dtype=torch.float64), atol=1e-11, rtol=0
    )


def test_zero_values_have_a_finite_gradient() -> None:
    v = torch.zeros(1, 2, 5, 3, requires_grad=True)
    s = significance(torch.rand(1, 2, 5), v, torch.ones(1, 5).bool(), prefix=1, score="concat")
    s[0, 1].backward()
    assert v.grad is not None
    assert v.grad.isfinite().all()


@pytest.mark.parametrize("score", ["concat", "per_head"])
@SAMPLERS
def test_logits_equal_a_plain_loop(
    host: Host, images: Tensor, sampler: Sampler, score: Score
) -> None:
    backbone = host(reg_tokens=1)
    model = SparseViT(backbone, ATS((1, 3), score=score, sampler=sampler))
    logits, trace = model.trace(images)
    for number in range(len(images)):
        x = adapter.embed(backbone, images[number : number + 1])
        for place, block in enumerate(backbone.blocks):
            x = plain_block(block, x, sampler, score) if place in (1, 3) else block(x)
            assert x.shape[1] == trace.n_out[place, number]
        torch.testing.assert_close(
            adapter.classify(backbone, x)[0], logits[number], atol=EXACT, rtol=0
        )


def plain_block(block: torch.nn.Module, x: Tensor, sampler: Sampler, score: Score) -> Tensor:
    """Spec 1.4 for one image with two prefix tokens, head by head."""
    attn = block.attn
    q, k, v = attn.qkv(block.norm1(x))[0].split(attn.attn_dim, dim=1)
    split = [slice(h * attn.head_dim, (h + 1) * attn.head_dim) for h in range(attn.num_heads)]
    maps = [(q[:, s] @ k[:, s].T / attn.head_dim**0.5).softmax(1) for s in split]
    if score == "concat":
        s = torch.stack([a[0] for a in maps]).sum(0) * v.norm(dim=1)
    else:
        s = torch.stack([a[0] * v[:, c].norm(dim=1) for a, c in zip(maps, split, strict=True)]).sum(
            0
        )
    patches = picked((s[2:] / s[2:].sum()).tolist(), 64, sampler)
    kept = [0, 1, *sorted(j + 2 for j in patches)]
    y = torch.cat([a[kept] @ v[:, c] for a, c in zip(maps, split, strict=True)], dim=1)
    x = x[:, kept] + attn.proj(y)
    return x + block.mlp(block.norm2(x))


def test_uniform_scores_drop_nothing(host: Host, images: Tensor) -> None:
    backbone = host()
    for block in backbone.blocks:  # equal keys give equal attention, constant values equal norms
        torch.nn.init.zeros_(block.attn.qkv.weight)
    logits, trace = SparseViT(backbone, ATS()).trace(images)
    torch.testing.assert_close(logits, backbone(images), atol=EXACT, rtol=0)
    assert (cost.utilisation(trace) == 1).all()
    assert (cost.macs(trace) == cost.dense_macs(trace.layout)).all()


def test_dropping_is_permanent_and_the_prefix_stays(host: Host, images: Tensor) -> None:
    trace = SparseViT(host(reg_tokens=2), ATS()).trace(images)[1]
    assert (trace.keep[1:] <= trace.keep[:-1]).all()
    assert trace.keep[..., :3].all()
    assert torch.equal(trace.n_in[1:], trace.n_out[:-1])
    assert not trace.keep[-1].all()


def test_scores_are_distributions_over_the_patches_that_enter(host: Host, images: Tensor) -> None:
    trace = SparseViT(host(), ATS()).trace(images)[1]
    gates = trace.gates
    assert isinstance(gates, Significance)
    assert trace.sparse == (1, 2, 3)
    torch.testing.assert_close(gates.scores.sum(2), torch.ones(3, 5).double())
    assert (gates.scores[~gates.entering] == 0).all()
    assert (gates.scores[..., 0] == 0).all()
    assert torch.equal(gates.entering[1:], trace.keep[1:3])
    heavy = gates.scores >= (1 + 1e-9) / 64
    assert trace.keep[1:][heavy].all()
    assert (trace.soft[1:][heavy] == 1).all()


def test_patch_order_does_not_matter(host: Host, images: Tensor) -> None:
    backbone = host()
    model = SparseViT(backbone, ATS())
    blocks = adapter.blocks_of(backbone)
    x = adapter.embed(backbone, images)
    shuffle = torch.randperm(64, generator=torch.Generator().manual_seed(4)) + 1
    shuffle = torch.cat((torch.zeros(1, dtype=torch.long), shuffle))
    x, trace = model.sparsifier.run(blocks, x, model.layout, None, NOBODY)
    y, other = model.sparsifier.run(
        blocks, adapter.embed(backbone, images)[:, shuffle], model.layout, None, NOBODY
    )
    torch.testing.assert_close(x[:, 0], y[:, 0], atol=EXACT, rtol=0)
    assert torch.equal(trace.keep[..., shuffle], other.keep)


def test_padding_is_never_read(host: Host, images: Tensor) -> None:
    backbone = host()
    ats, layout = ATS(), SparseViT(backbone, ATS()).layout
    first, second = adapter.blocks_of(backbone)[1:3]
    x = adapter.embed(backbone, images)
    index = torch.arange(65).repeat(5, 1)
    tokens, _ = ats.prune_block(
        first, Tokens(x, torch.ones_like(index).bool(), index, False), layout, NOBODY, 1
    )
    assert tokens.padded
    spoilt = tokens._replace(x=torch.where(tokens.valid[..., None], tokens.x, 1e3))
    clean, s = ats.prune_block(second, tokens, layout, NOBODY, 2)
    dirty, t = ats.prune_block(second, spoilt, layout, NOBODY, 2)
    assert torch.equal(s.scores, t.scores)
    assert torch.equal(clean.valid, dirty.valid)
    assert torch.equal(clean.x[clean.valid], dirty.x[dirty.valid])


def test_gradients_of_logits_and_scores(host: Host) -> None:
    backbone = host(depth=2, img_size=8, embed_dim=6)
    model = SparseViT(backbone, ATS((0, 1)))
    draw = torch.Generator().manual_seed(5)
    image = torch.randn(2, 3, 8, 8, generator=draw).double().requires_grad_()

    def read(x: Tensor) -> tuple[Tensor, Tensor]:
        logits, trace = model.trace(x)
        assert isinstance(trace.gates, Significance)
        return logits, trace.gates.scores

    assert torch.autograd.gradcheck(read, image, fast_mode=True)


@pytest.mark.parametrize("blocks", [(), (4,), (-1, 2)])
def test_blocks_that_do_not_exist_are_refused(host: Host, blocks: tuple[int, ...]) -> None:
    with pytest.raises(BadKnob, match="blocks"):
        SparseViT(host(), ATS(blocks))


def test_unknown_choices_are_refused() -> None:
    with pytest.raises(BadKnob, match="score"):
        ATS(score="mean")  # pyright: ignore[reportArgumentType]
    with pytest.raises(BadKnob, match="sampler"):
        ATS(sampler="random")  # pyright: ignore[reportArgumentType]
