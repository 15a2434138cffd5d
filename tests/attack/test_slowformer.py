"""SlowFormer: each loss is what its mechanism was trained by, and the patch wakes tokens."""

from __future__ import annotations

from typing import cast

import pytest
import torch
from torch import Tensor

from engine.attack.attack import craft, observe
from engine.attack.moment import Moment
from engine.attack.objective import Objective
from engine.attack.recipes.slowformer import SlowFormer
from engine.attack.slow_objective import EvenAttention, Ponder, Usage
from engine.attack.sparse_objective import Macs
from engine.attack.update import adam
from engine.core.streams import Streams
from engine.model.sites import Address, Site
from engine.model.sparse import Halting, SparseViT
from engine.model.victim import Forward
from tests.model.sparse.mechanisms import KINDS, sparse
from tests.tiny import task

ASKED = task(3)
AT = Moment(0, 1, ASKED)
every = pytest.mark.parametrize("kind", KINDS)


def draw(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=Streams(0).at(str(shape)), dtype=torch.float64)


def passed(seen: dict[Address, Tensor]) -> Forward:
    b = len(next(iter(seen.values())))
    return Forward(torch.zeros(b, 3, 2, 2), torch.zeros(b, 5), seen, {})


def test_ponder_is_the_trace_s() -> None:
    source = sparse("avit")
    gates = (
        cast(SparseViT, source.module).trace((ASKED.images - source._mean) / source._std)[1].gates
    )
    expected = cast(Halting, gates).rho.mean(1)
    torch.testing.assert_close(Ponder()(observe(source, ASKED.images, Ponder.sites), AT), expected)


def test_usage_is_nothing_where_all_is_on_and_six_where_all_is_off() -> None:
    def using(*shares: float) -> float:
        tokens, heads, msa, ffn = torch.tensor(shares, dtype=torch.float64)
        of = {"tokens": tokens.expand(1, 4), "heads": heads.expand(1, 3)}
        of["sublayers"] = torch.stack([msa, ffn])[None]
        where = {Address(Site.DECISION, i, f"{k}.hard"): v for i in (1, 2) for k, v in of.items()}
        return float(Usage()(passed(where), AT))

    assert using(1, 1, 1, 1) == 0
    assert using(0, 0, 0, 0) == -6
    assert using(0.5, 1, 1, 0) == pytest.approx(-2 * (0.5 + 0.25))


def test_attention_counts_less_in_later_blocks() -> None:
    def looking(uneven: int) -> float:
        a = torch.full((7, 1, 2, 4, 4), 1 / 4)
        a[uneven, ..., 0] += 0.1
        where = {Address(Site.ATTN, i): each for i, each in enumerate(a)}
        where |= {Address(Site.SIGNIFICANCE, i): each[:, 0, 0] for i, each in enumerate(a)}
        return -float(EvenAttention()(passed(where), AT))

    shares = [looking(i) / looking(0) for i in range(7)]
    assert shares == pytest.approx([1, 0.2, 0.05, 0.01, 0.005, 0.005, 0.005], rel=1e-4)


def one_pass(loss: Objective, x: Tensor) -> Forward:
    """x (3, 2, 6) as what the loss reads."""
    if isinstance(loss, EvenAttention):
        maps = x[:, :, None, None].softmax(-1).expand(-1, -1, 2, 6, -1)
        where = {Address(Site.ATTN, i): each for i, each in enumerate(maps)}
        return passed(where | {Address(Site.SIGNIFICANCE, i): each for i, each in enumerate(x)})
    if isinstance(loss, Ponder):
        where = {Address(Site.HALTING, i): each for i, each in enumerate(0.3 * x.sigmoid())}
        kept = (draw(2, 2, 6) > 0.5).double()
        return passed(where | {Address(Site.KEEP, i): each for i, each in enumerate(kept, 1)})
    soft = {"tokens": x.sigmoid(), "heads": x.sigmoid(), "sublayers": x.sigmoid()[..., :2]}
    return passed(
        {
            Address(Site.DECISION, i, f"{kind}.hard"): each
            for kind, values in soft.items()
            for i, each in enumerate(values)
        }
    )


@pytest.mark.parametrize("loss", [EvenAttention(), Ponder(), Usage()])
def test_slopes_are_those_of_differences(loss: Objective) -> None:
    x = (draw(3, 2, 6) - 0.3).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(one_pass(loss, x), AT), x)


@every
def test_a_patch_in_the_corner_raises_the_loss_of_every_picture(kind: str) -> None:
    source = sparse(kind)
    attack = SlowFormer(steps=20).build(source.spec)
    x = craft(attack, source, ASKED, Streams(0))
    moved = (x != ASKED.images).any(1)
    assert moved[:, :9, :9].any()
    assert not moved[:, 9:].any()
    assert not moved[:, :, 9:].any()  # 64 / 224 of 32 pixels
    clean, now = (observe(source, each, attack.sites) for each in (ASKED.images, x))
    assert (attack.objective(now, AT) > attack.objective(clean, AT)).all()
    if kind != "ats":  # where the loss is not the cost, and the model is not a trained one
        assert (Macs()(now) > Macs()(clean)).any()


def test_adam_is_torch_s() -> None:
    leaf = torch.zeros(1, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([leaf], lr=0.2, maximize=True)
    update = adam(0.2)
    x, state = torch.zeros_like(leaf), update.init(leaf)
    for step in range(5):
        leaf.grad = draw(1, 3, 4, 4) - 0.1 * step
        optimiser.step()
        change, state = update.apply(leaf.grad, state, Moment(step, 5, ASKED))
        x = x + change
    torch.testing.assert_close(x, leaf.detach())
