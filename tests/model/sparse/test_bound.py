"""A bound on tokens holds for any picture, on every path, and takes away what it should (spec 5.1, law 19)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel  # torch 2.11 counts no fused CPU kernel
from torch.utils.flop_counter import FlopCounterMode

from engine.core.errors import UnsupportedModel
from engine.model.sparse import (
    ATS,
    AdaViT,
    AViT,
    Bound,
    Dense,
    Halting,
    SparseViT,
    Sparsifier,
    TopK,
    ceiling,
    cost,
    layout_of,
)
from engine.model.sparse.bound import By, surplus, whole

EXACT = 1e-12  # float64 rounding through a few blocks is about 1e-15
Host = Callable[..., VisionTransformer]
KINDS = ("ats", "topk", "avit", "adavit")
WAYS: tuple[By, ...] = ("least confident", "random")
every = pytest.mark.parametrize("kind", KINDS)
both = pytest.mark.parametrize("by", WAYS)
MOST = (65, 40, 17, 30)
"""Of 65 tokens in 4 blocks; the last is above the one before, which binds what is gone for good."""


def model(kind: str, backbone: VisionTransformer, bound: Bound | None) -> SparseViT:
    """One that drops some tokens in some blocks."""
    made: Sparsifier
    match kind:
        case "ats":
            made = ATS()
        case "topk":
            made = TopK(keep=0.9)
        case "avit":
            made = AViT(3.0, -1.0).double()
        case _:
            made = AdaViT(layout_of(backbone)).double()
            noise = torch.Generator().manual_seed(2)
            for parameter in made.parameters():
                nn.init.normal_(parameter, std=0.3, generator=noise)
    return SparseViT(backbone, made, bound)


def awake(kind: str, backbone: VisionTransformer, bound: Bound | None) -> SparseViT:
    """One that would keep everything, as if the perfect attack had come."""
    made = model(kind, backbone, bound)
    if isinstance(made.sparsifier, AViT):
        made.sparsifier.beta.fill_(-100.0)
    if isinstance(made.sparsifier, AdaViT):
        for parameter in made.sparsifier.parameters():
            nn.init.constant_(parameter, 0.0 if parameter.ndim == 2 else 9.0)
    if isinstance(made.sparsifier, TopK):
        made.sparsifier.keep = 1.0
    if isinstance(made.sparsifier, ATS):
        for (
            block
        ) in backbone.blocks:  # equal keys give equal attention, constant values equal norms
            nn.init.zeros_(block.attn.qkv.weight)
    return made


def any_pictures(like: Tensor) -> Tensor:
    """Noise of every size, constants, checks, and numbers far out of any picture's range."""
    ramp = torch.linspace(-1, 1, 32).double().expand(1, 3, 32, 32)
    checks = ((torch.arange(32)[:, None] + torch.arange(32)) % 2).double().expand(1, 3, 32, 32)
    flat = [torch.full_like(like[:1], value) for value in (-1e6, -2.0, 0.0, 2.0, 1e6)]
    return torch.cat((like, 100 * like, ramp, checks, 1e4 * checks, *flat))


@both
@every
def test_no_picture_costs_more_than_the_ceiling(
    host: Host, images: Tensor, kind: str, by: By
) -> None:
    pictures = any_pictures(images)
    for most in (MOST, (17,) * 4, (1,) * 4):
        for made in (make(kind, host(), Bound(most, by)) for make in (model, awake)):
            logits, trace = made.trace(pictures)
            assert logits.isfinite().all()
            deciding = list(trace.sparse)
            assert (trace.keep.sum(2)[deciding] <= torch.tensor(most)[deciding, None]).all()
            assert (cost.macs(trace) <= ceiling(made)).all()


@both
@every
def test_who_wakes_everything_gets_the_ceiling_and_no_more(
    host: Host, images: Tensor, kind: str, by: By
) -> None:
    made = awake(kind, host(), Bound(MOST, by))
    assert (cost.macs(made.trace(images)[1]) == ceiling(made)).all()
    free = awake(kind, host(), None)
    extra = getattr(free.sparsifier, "overhead", lambda _: 0)(free.layout)
    assert ceiling(free) == cost.dense_macs(free.layout) + extra
    assert (cost.macs(free.trace(images)[1]) == ceiling(free)).all()


@both
@every
def test_a_bound_of_all_tokens_is_the_identity(
    host: Host, images: Tensor, kind: str, by: By
) -> None:
    free, held = (model(kind, host(), bound) for bound in (None, Bound((65,) * 4, by)))
    (logits, trace), (same, other) = free.trace(images), held.trace(images)
    assert torch.equal(logits, same)
    assert torch.equal(trace.keep, other.keep)
    assert torch.equal(free.compact(images[:1]), held.compact(images[:1]))


@both
@every
def test_a_picture_is_held_alike_alone_and_in_any_batch(
    host: Host, images: Tensor, kind: str, by: By
) -> None:
    made = model(kind, host(), Bound(MOST, by))
    logits, trace = made.trace(images)
    for number in range(len(images)):
        alone, own = made.trace(images[number : number + 1])
        assert torch.equal(own.keep[:, 0], trace.keep[:, number])
        torch.testing.assert_close(alone[0], logits[number], atol=EXACT, rtol=0)


@both
@every
def test_what_is_held_is_really_skipped(host: Host, images: Tensor, kind: str, by: By) -> None:
    made = model(kind, host(), Bound(MOST, by))
    for image in images[:3].split(1):
        logits, trace = made.trace(image)
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            compacted = made.compact(image)
        torch.testing.assert_close(compacted, logits, atol=EXACT, rtol=0)
        assert counter.get_total_flops() == 2 * cost.macs(trace).item()


@both
@every
def test_the_prefix_is_never_what_goes(host: Host, images: Tensor, kind: str, by: By) -> None:
    for asked, most in ((1, 4), (4, 4), (9, 9)):  # a class token, three registers, then patches
        made = awake(kind, host(reg_tokens=3), Bound((asked,) * 4, by))
        trace = made.trace(images)[1]
        deciding = list(trace.sparse)
        assert trace.keep[..., :4].all()
        assert (trace.keep[deciding].sum(2) == most).all()
        assert (cost.macs(trace) == ceiling(made)).all()


@both
def test_what_a_bound_halts_puts_its_remainder_on_the_output(
    host: Host, images: Tensor, by: By
) -> None:
    trace = model("avit", host(), Bound(MOST, by)).trace(images)[1]
    assert isinstance(trace.gates, Halting)
    total = trace.gates.weights.sum(0)
    torch.testing.assert_close(total, torch.ones_like(total), atol=EXACT, rtol=0)
    assert not (trace.keep[1:] & ~trace.keep[:-1]).any()
    assert torch.equal(trace.gates.rho >= trace.keep.sum(0), torch.ones_like(trace.keep[0]))


def test_adavit_holds_each_block_anew(host: Host, images: Tensor) -> None:
    keep = awake("adavit", host(), Bound((65, 17, 40, 17), "random")).trace(images)[1].keep
    assert torch.equal(keep.sum(2)[:, 0], torch.tensor([65, 17, 40, 17]))
    assert (keep[2] & ~keep[1]).any()  # off in one block, back in the next


@every
def test_random_draws_hang_on_the_picture_and_on_nothing_else(
    host: Host, images: Tensor, kind: str
) -> None:
    made = awake(kind, host(), Bound(MOST, "random"))
    keep = made.trace(images)[1].keep
    torch.manual_seed(7)
    assert torch.equal(made.trace(images)[1].keep, keep)
    assert not torch.equal(keep[:, 0], keep[:, 1])
    nudged = images.clone()
    nudged[0, 0, 0, 0] += 1 / 255
    assert not torch.equal(made.trace(nudged)[1].keep[:, 0], keep[:, 0])


@settings(max_examples=200)
@given(
    rows=st.lists(
        st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.5, 1.0])), min_size=1, max_size=12
    ),
    most=st.integers(1, 13),
    prefix=st.integers(0, 2),
)
def test_surplus_is_what_a_loop_over_the_words_says(
    rows: list[tuple[bool, float]], most: int, prefix: int
) -> None:
    kept, confidence = zip(*rows, strict=True)

    def rank(place: int) -> tuple[float, int]:
        return -torch.inf if place < prefix else -confidence[place], place

    ranked = sorted((place for place, on in enumerate(kept) if on), key=rank)
    found = surplus(torch.tensor([kept]), torch.tensor([confidence]), most=most, prefix=prefix)
    assert found[0].nonzero().flatten().tolist() == sorted(ranked[most:])


def test_the_least_confident_go(host: Host, images: Tensor) -> None:
    """Top-k under a bound is Top-k of fewer; A-ViT loses those nearest to halting by themselves."""
    few = model("topk", host(), Bound((65, 41, 41, 41))).trace(images)[1].keep[1]
    scores = model("topk", host(), None).trace(images)[1].gates
    assert scores is not None
    best = scores.scores[0].topk(40).indices  # pyright: ignore[reportAttributeAccessIssue]
    for row in range(len(images) - 1):  # the last picture is flat: scores differ by rounding
        assert set(few[row].nonzero().flatten().tolist()) == {0, *best[row].tolist()}
    free = model("avit", host(), None).trace(images)[1]
    held = model("avit", host(), Bound((65, 20, 65, 65))).trace(images)[1]
    for row in range(len(images)):
        gone = free.keep[1, row] & ~held.keep[1, row]
        stays = held.keep[1, row].clone()
        stays[0] = False
        if gone.any() and stays.any():
            assert free.soft[1, row][stays].min() >= free.soft[1, row][gone].max()


@both
@every
def test_gradients_reach_the_pixels_past_the_bound(
    host: Host, images: Tensor, kind: str, by: By
) -> None:
    leaf = images.clone().requires_grad_()
    logits, trace = model(kind, host(), Bound(MOST, by)).trace(leaf)
    (g,) = torch.autograd.grad(logits.square().sum() + trace.soft.sum(), leaf)
    assert g.isfinite().all()
    assert (g[:4].abs().amax((1, 2, 3)) > 0).all()


def test_counts_are_rounded_up_but_not_by_the_rounding_of_floats() -> None:
    assert [whole(0.07 * 100), whole(7.001), whole(0.6 * 65), whole(0.0)] == [7, 8, 39, 0]
    assert 0.07 * 100 > 7


def test_a_mechanism_that_nobody_knows_has_no_ceiling(host: Host) -> None:
    with pytest.raises(UnsupportedModel, match="Dense"):
        ceiling(SparseViT(host(), Dense()))
