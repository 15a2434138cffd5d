"""What is no chain of parts is an attack all the same: the best iterate, attacks in turn, a search."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from engine.attack.attack import NOTHING, Attack, Info, Watch, craft, observe, run
from engine.attack.best import Best
from engine.attack.chain import ANOTHER_ANSWER, Chain
from engine.attack.criterion import Criterion
from engine.attack.moment import Moment
from engine.attack.objective import CrossEntropy
from engine.attack.recipes.mifgsm import MIFGSM
from engine.attack.recipes.pgd import PGD
from engine.attack.recipes.quantattack import QuantAttack
from engine.attack.sequence import Sequence
from engine.core.streams import Streams
from engine.model.sites import Site
from engine.model.task import Task
from engine.model.victim import Victim
from tests.tiny import pick, task, victim

SOURCE, STREAMS = victim("vit"), Streams(0)
ANSWERS = observe(SOURCE, task(4).images, ()).logits.argmax(1)
ASKED = replace(task(4), labels=ANSWERS)  # so that every picture is right before


WEAK = 2 / 255  # at which some pictures fall and some do not


def pgd(eps: float, steps: int = 3) -> Chain:
    return PGD(eps=eps, steps=steps, step_size=eps).build(SOURCE.spec)


def loss_of(x: Tensor) -> Tensor:
    out = observe(SOURCE, x, ())
    return -out.logits.log_softmax(1).gather(1, ASKED.labels[:, None])[:, 0]


def fooled(x: Tensor) -> Tensor:
    return observe(SOURCE, x, ()).logits.argmax(1) != ASKED.labels


def test_best_gives_the_best_of_all_iterates():
    attack = pgd(0.05, 6)
    states = [
        attack.init(SOURCE, ASKED, STREAMS),
        *(s for s, _ in run(attack, SOURCE, ASKED, STREAMS)),
    ]
    ranks = torch.stack([fooled(s.x) * 1e6 + loss_of(s.x) for s in states])
    expected = torch.stack([states[i].x[row] for row, i in enumerate(ranks.argmax(0).tolist())])
    assert torch.equal(craft(Best(attack), SOURCE, ASKED, STREAMS), expected)
    assert not torch.equal(expected, states[-1].x)
    infos = [info for _, info in run(Best(attack), SOURCE, ASKED, STREAMS)]
    assert all(torch.equal(info.x, s.x) for info, s in zip(infos, states, strict=False))


def test_each_attack_in_turn_works_on_what_survived():
    weak, strong = pgd(WEAK), pgd(32 / 255)
    alone = craft(weak, SOURCE, ASKED, STREAMS)
    fell = fooled(alone)
    assert 0 < int(fell.sum()) < 4
    both = Sequence((weak, strong))
    assert both.steps == 6
    states, infos = zip(*run(both, SOURCE, ASKED, STREAMS), strict=True)
    x = states[-1].x
    assert torch.equal(x[fell], alone[fell])
    assert not bool((x == alone)[~fell].flatten(1).all(1).any())
    assert bool((fooled(x) >= fell).all())
    assert torch.equal(states[2].x, alone)
    assert [info.out is None for info in infos] == [False] * 3 + [True] * 3
    assert bool(infos[-1].success[fell].all())
    assert states[-1].fell.tolist() == [0 if one else 1 for one in fell.tolist()]
    # where all have fallen it is over, and within a turn as soon as what was found is kept
    done = [state for state, _ in run(Sequence((strong, strong)), SOURCE, ASKED, STREAMS)]
    assert bool(fooled(done[-1].x).all())
    assert [state.step for state in done] == [1, 2, 6]
    best = Best(pgd(32 / 255, 50))
    early = [state for state, _ in run(Sequence((best, weak)), SOURCE, ASKED, STREAMS)]
    assert len(early) < 50
    assert early[-1].step == 53
    assert bool(fooled(early[-1].x).all())
    # who needs no attack is left alone
    spared = Sequence((strong,), spare=True)
    wrong = replace(ASKED, labels=torch.where(fell, ASKED.labels, ASKED.labels + 1) % 7)
    x = craft(spared, SOURCE, wrong, STREAMS)
    assert torch.equal(x[~fell], ASKED.images[~fell])
    assert bool(fooled(x)[fell].all())
    nothing = replace(ASKED, labels=(ASKED.labels + 1) % 7)
    assert torch.equal(craft(spared, SOURCE, nothing, STREAMS), ASKED.images)


def test_restarts_draw_anew_and_pictures_do_not_feel_each_other():
    attack = Sequence((pgd(WEAK),) * 3)
    streams = Streams(0, (0, 1, 2, 3))
    starts = [info.x for state, info in run(attack, SOURCE, ASKED, streams) if info.step % 3 == 0]
    survived = ~fooled(craft(pgd(WEAK), SOURCE, ASKED, streams))
    assert bool(survived.any())
    assert not bool((starts[0] == starts[1])[survived].flatten(1).all(1).any())
    assert float((starts[1] - ASKED.images).abs().max()) <= WEAK + 1e-12
    whole = craft(attack, SOURCE, ASKED, streams)
    alone = craft(attack, SOURCE, pick(ASKED, 2), Streams(0, (2,)))
    # 1e-12: sums of float64 in another order; signs of gradients decide the rest
    torch.testing.assert_close(whole[2:3], alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", [Best, lambda attack: Sequence((attack, attack))])
def test_a_look_sees_the_victims_own_pass(kind: Any):
    for attack in (
        MIFGSM(steps=2).build(SOURCE.spec),
        QuantAttack(steps=2, threshold=1.0).build(SOURCE.spec),
    ):
        made: Attack = kind(attack)
        state = made.init(SOURCE, ASKED, STREAMS)
        watch = Watch(frozenset({Site.ATTN}), frozenset({Site.QKV}))
        seen = made.look(SOURCE, ASKED, state, ASKED.images, STREAMS, watch)
        still = made.look(SOURCE, ASKED, state, ASKED.images, STREAMS)
        assert seen.out is not None
        assert still.out is not None
        assert seen.out.gradients(Site.QKV)
        assert still.g is None
        # 1e-12: watched maps take attention's other path
        torch.testing.assert_close(seen.loss, still.loss, rtol=1e-12, atol=0)
        assert torch.equal(seen.success, attack.aimed(ASKED).reached(still.out, still.out, ASKED))
        assert made.criterion == attack.criterion


class Search(NamedTuple):
    step: int
    x: Tensor
    best: Tensor
    low: Tensor
    high: Tensor
    weight: Tensor
    w: Tensor


@dataclass(frozen=True)
class Nearest:
    """Carlini & Wagner's scheme: min ||x - x0||^2 + c f(x), c by bisection per picture.

    No recipe yet: it shows that a search whose rounds build on each other needs no runner of its own.
    """

    rounds: int
    inner: int
    rate: float
    criterion: Criterion = ANOTHER_ANSWER

    @property
    def steps(self) -> int:
        return self.rounds * self.inner

    def init(
        self, victim: Victim, task: Task, streams: Streams, start: Tensor | None = None
    ) -> Search:
        x = task.images if start is None else start
        b = x.new_zeros(len(x))
        return Search(0, x, b + torch.inf, b, b + 1e6, b + 1, x)

    def step(
        self, victim: Victim, task: Task, state: Search, streams: Streams, watch: Watch = NOTHING
    ) -> tuple[Search, Info]:
        leaf = state.w.detach().requires_grad_()
        with torch.enable_grad(), victim.session() as forward:
            out = forward(leaf)
            near = (leaf - task.images).square().flatten(1).sum(1)
            own = out.logits.gather(1, task.labels[:, None])[:, 0]
            other = out.logits.scatter(1, task.labels[:, None], -torch.inf).amax(1)
            loss = near + state.weight * (own - other).clamp_min(-0.1)
            (g,) = torch.autograd.grad(loss.sum(), leaf)
        hit = self.criterion.reached(None, out, task)
        nearer = hit & (near < state.best)
        x = torch.where(nearer.view(-1, 1, 1, 1), leaf.detach(), state.x)
        state = state._replace(
            step=state.step + 1,
            x=x,
            best=torch.where(nearer, near.detach(), state.best),
            w=(leaf - self.rate * g).detach().clamp(0, 1),
        )
        if state.step % self.inner == 0:
            found = state.best < torch.inf
            high = torch.where(found, torch.minimum(state.high, state.weight), state.high)
            low = torch.where(found, state.low, torch.maximum(state.low, state.weight))
            weight = torch.where(high < 1e6, (low + high) / 2, state.weight * 10)
            state = state._replace(low=low, high=high, weight=weight, w=task.images)
        return state, Info(state.step - 1, leaf.detach(), -loss.detach(), 0.0, out, lambda: hit, g)

    def look(
        self,
        victim: Victim,
        task: Task,
        state: Search,
        x: Tensor,
        streams: Streams,
        watch: Watch = NOTHING,
    ) -> Info:
        out = observe(victim, x, watch.values)
        loss = CrossEntropy()(out, Moment(0, 1, task))
        return Info(state.step, x, loss, 0.0, out, lambda: self.criterion.reached(None, out, task))


def test_a_binary_search_runs_like_any_attack():
    search: Attack = Nearest(rounds=4, inner=8, rate=0.05)
    x = craft(search, SOURCE, ASKED, STREAMS)
    assert bool(fooled(x).all())
    size = (x - ASKED.images).flatten(1).norm(dim=1)
    signed = craft(pgd(0.1, 10), SOURCE, ASKED, STREAMS)
    assert bool((size < (signed - ASKED.images).flatten(1).norm(dim=1)).all())
