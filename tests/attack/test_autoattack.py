"""FAB, Square and AutoAttack equal loops written from their papers; what makes them doubtful is said."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from engine.attack.attack import Attack, Watch, craft, observe, run
from engine.attack.autoattack import AutoAttack, Checked
from engine.attack.catalog import BY_NAME
from engine.attack.fab import FAB, Walk, onto
from engine.attack.flags import better_blind, flags
from engine.attack.sequence import ALREADY, STANDS, Keeping
from engine.attack.square import Square, Tries
from engine.core.streams import Streams, uniform
from engine.model.sites import Site
from engine.model.task import Task
from engine.model.victim import Victim
from tests.tiny import SIZE, pick, task, victim

SOURCE = victim("vit")
NAMED = Streams(3, (0, 1, 2, 3, 4, 5))
ASKED = replace(task(6), labels=observe(SOURCE, task(6).images, ()).logits.argmax(1))
SOME = 1.3 / 255  # at which some pictures fall and some do not
CLOSE = {"rtol": 0, "atol": 1e-9}  # float64 sums in another order


def said(x: Tensor) -> Tensor:
    return observe(SOURCE, x, ()).logits


def last(attack: Attack, asked: Task, streams: Streams = NAMED, source: Victim = SOURCE):
    *_, (state, _) = run(attack, source, asked, streams)
    return state


def alone(attack: Attack, row: int):
    return last(attack, pick(ASKED, row), Streams(NAMED.seed, (row,)))


# FAB


def by_trying_all(x: list[float], w: list[float], need: float) -> list[float]:
    """The smallest change onto the plane: every choice of pixels that have no room left is tried."""
    way = [math.copysign(1, a) * math.copysign(1, need) if a and need else 0.0 for a in w]
    room = [1 - v if s > 0 else v for v, s in zip(x, way, strict=True)]
    size = [abs(a) for a in w]
    found = math.inf
    for full in product((False, True), repeat=len(x)):
        held = sum(a * u for a, u, f in zip(size, room, full, strict=True) if f)
        slope = sum(a for a, f in zip(size, full, strict=True) if not f)
        t = (abs(need) - held) / slope if slope else math.inf
        fits = all(u <= t if f else u >= t for u, f in zip(room, full, strict=True))
        if t >= 0 and math.isfinite(t) and fits:
            found = min(found, t)
    return [s * min(found, u) for s, u in zip(way, room, strict=True)]


def test_the_change_onto_a_plane_is_the_smallest_that_stays_in_the_box():
    gen = Streams(0).at("planes")
    x, w = (torch.rand(60, 6, generator=gen, dtype=torch.float64) for _ in range(2))
    x = torch.where(x < 0.2, 0, torch.where(x > 0.8, 1, x))  # some pixels have no room
    w = (w - 0.5).where(w.sub(0.5).abs() > 0.1, 0)  # and some do not matter
    share = torch.linspace(-1.2, 1.2, 60, dtype=torch.float64)  # some planes are out of reach
    need = share * torch.where(w * share[:, None] > 0, w.abs() * (1 - x), w.abs() * x).sum(1)
    need[0] = 0
    ours = onto(x.view(60, 3, 1, 2), w.view(60, 3, 1, 2), need).flatten(1)
    theirs = [
        by_trying_all(*each) for each in zip(x.tolist(), w.tolist(), need.tolist(), strict=True)
    ]
    far = (w * ours).sum(1) - need
    assert bool((far.abs() > 1e-3).any()), "no plane was out of reach"
    reachable = far.abs() < 1e-9
    assert int(reachable.sum()) > 40
    expected = torch.tensor(theirs, dtype=torch.float64)
    torch.testing.assert_close(ours[reachable], expected[reachable], **CLOSE)
    assert 0 <= float((x + ours).min())
    assert float((x + ours).max()) <= 1
    vertex = torch.where(w * need[:, None] > 0, 1, torch.where(w == 0, x, 0))
    torch.testing.assert_close((x + ours)[~reachable], vertex[~reachable], **CLOSE)


def smallest(x: Tensor, w: Tensor, need: float) -> Tensor:
    """The same by halving an interval, for many pixels."""
    way = w.sign() * math.copysign(1, need)
    room, low, high = torch.where(way > 0, 1 - x, x), 0.0, 1.0
    for _ in range(100):
        middle = (low + high) / 2
        short = float((w.abs() * room.clamp(max=middle)).sum()) < abs(need)
        low, high = (middle, high) if short else (low, middle)
    return way * room.clamp(max=high)


def papers_fab(x0: Tensor, label: int, steps: int, classes: int) -> tuple[Tensor, float]:
    """Croce and Hein's loop on one picture, towards the likeliest wrong classes in turn."""
    module = copy.deepcopy(SOURCE.module)
    mean, std = (
        torch.tensor(v).double().view(1, 3, 1, 1) for v in (SOURCE.spec.mean, SOURCE.spec.std)
    )

    def z(x: Tensor) -> Tensor:
        return module((x - mean) / std)[0]

    wrong = [k for k in z(x0).argsort(descending=True).tolist() if k != label]
    best, size = x0, math.inf
    for k in wrong[:classes]:
        x = x0
        for _ in range(steps):
            leaf = x.clone().requires_grad_()
            f = z(leaf)[k] - z(leaf)[label]
            (w,) = torch.autograd.grad(f, leaf)
            b = float((w * x).sum()) - float(f.detach())
            d = smallest(x, w, b - float((w * x).sum()))
            d0 = smallest(x0, w, b - float((w * x0).sum()))
            n, n0 = (max(float(each.abs().max()), 1e-8) for each in (d, d0))
            a = min(n / (n + n0), 0.1)
            x = ((1 - a) * (x + 1.05 * d) + a * (x0 + 1.05 * d0)).clamp(0, 1)
            if int(z(x).argmax()) != label:
                if float((x - x0).abs().max()) < size:
                    best, size = x, float((x - x0).abs().max())
                x = x0 + 0.9 * (x - x0)
    return best, size


def test_fab_equals_the_papers_loop():
    made: Walk = last(FAB(1.0, 5, (1, 2)), pick(ASKED, 0, 1))
    for row in range(2):
        one = pick(ASKED, row)
        x, size = papers_fab(one.images, int(one.labels), 5, 2)
        assert 0 < size < 4 / 255
        torch.testing.assert_close(made.nearest[row : row + 1], x, **CLOSE)
        assert float(made.distance[row]) == pytest.approx(size, abs=1e-9)
    assert torch.equal(made.x, made.nearest)


def test_fab_gives_what_lies_in_the_ball_and_says_where_it_fools():
    far: Walk = last(FAB(1.0, 6, (1, 2)), ASKED)
    near: Walk = last(FAB(SOME, 6, (1, 2)), ASKED)
    torch.testing.assert_close(near.nearest, far.nearest, **CLOSE)  # eps changes only what is given
    assert bool(far.reached.all())
    assert near.reached.tolist() == (far.distance <= SOME).tolist()
    assert 0 < int(near.reached.sum()) < 6
    assert bool((said(near.x).argmax(1) != ASKED.labels)[near.reached].all())
    assert float((near.x - ASKED.images).abs().max()) <= SOME + 1e-12
    aimed = replace(ASKED, target=(ASKED.labels + 1) % 7)
    found: Walk = last(FAB(1.0, 8), aimed)
    assert bool(found.reached.any())
    assert torch.equal(said(found.x).argmax(1)[found.reached], aimed.target[found.reached])


# Square


def papers_square(x0: Tensor, label: int, eps: float, queries: int, gen: list[Tensor]) -> Tensor:
    """Andriushchenko et al.'s loop on one picture (3, y, x), with the same draws."""

    def margin(x: Tensor) -> float:
        z = said(x[None])[0].tolist()
        return max(v for k, v in enumerate(z) if k != label) - z[label]

    def sign(u: float) -> int:
        return 1 if u > 0.5 else -1

    best = x0.clone()
    for c, column in product(range(3), range(SIZE)):
        best[c, :, column] += eps * sign(float(gen[0][c, 0, column]))
    best = best.clamp(0, 1)
    top = margin(best)
    for i in range(1, queries):
        if top > 0:
            break
        at, p = i * 10_000 / queries, 0.8
        for mark in (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000):
            p = p / 2 if at > mark else p
        s = max(round(math.sqrt(p * SIZE * SIZE)), 1)
        draw = gen[i].tolist()
        row, column = (int(u * (SIZE - s + 1)) for u in draw[:2])
        x = best.clone()
        for c in range(3):
            x[c, row : row + s, column : column + s] += 2 * eps * sign(draw[2 + c])
        x = torch.minimum(torch.maximum(x, x0 - eps), x0 + eps).clamp(0, 1)
        if (m := margin(x)) > top:
            best, top = x, m
    return best


def test_square_equals_the_papers_loop_and_asks_no_more_than_it_may(
    monkeypatch: pytest.MonkeyPatch,
):
    eps, queries = 24 / 255, 40
    made: Tries = last(Square(eps, queries), ASKED)
    assert 0 < int(made.reached.sum()) < 6
    for row in range(6):
        streams = Streams(NAMED.seed, (row,))
        shapes = [(1, 3, 1, SIZE), *[(1, 5)] * (queries - 1)]
        draws = [uniform(s, streams.at("step", i, "square"))[0] for i, s in enumerate(shapes)]
        one = pick(ASKED, row)
        theirs = papers_square(one.images[0], int(one.labels), eps, queries, draws)
        torch.testing.assert_close(made.x[row], theirs, **CLOSE)
    asked: list[int] = []
    whole = Victim.logits

    def counted(self: Victim, images: Tensor) -> Tensor:
        asked.append(len(images))
        return whole(self, images)

    monkeypatch.setattr(Victim, "logits", counted)
    last(Square(eps, queries), ASKED)
    assert len(asked) == queries
    assert asked[0] == 6
    assert asked == sorted(asked, reverse=True)
    assert asked[-1] == int((~made.reached).sum())


def test_squares_shrink_as_published():
    published = Square(1.0, 10_000)
    sides = [published.side(i, 224, 224) for i in (1, 10, 11, 50, 51, 200, 201, 8000, 8001)]
    shares = [1, 1, 2, 2, 4, 4, 8, 256, 512]
    assert sides == [round(math.sqrt(0.8 / n) * 224) for n in shares]
    assert Square(1.0, 5000).side(26, 224, 224) == published.side(52, 224, 224)
    assert Square(1.0, 5000, scaled=False).side(26, 224, 224) == published.side(26, 224, 224)
    assert published.side(9999, 8, 8) == 1


# AutoAttack


def test_autoattack_goes_in_order_and_stops_as_the_papers_loop():
    """Each attack on those that the model still has right, nothing on the others."""
    made = AutoAttack(SOME, 3, 2, 6, SOURCE.spec)
    names = [name for name, _ in made.parts]
    assert names == ["APGD-CE", "APGD-T", "APGD-T", "FAB-T", "FAB-T", "Square"]
    assert made.steps == 3 + 2 * 3 + 2 * 3 + 6
    labels = ASKED.labels.clone()
    labels[5] = (labels[5] + 1) % 7
    asked = replace(ASKED, labels=labels)
    state: Checked = last(made, asked)
    right = said(asked.images).argmax(1) == labels
    fell = torch.where(right, STANDS, ALREADY)
    for turn, (_, attack) in enumerate(made.parts):
        rows = (fell == STANDS).nonzero()[:, 0].tolist()
        streams = NAMED.inside("turn", turn) if turn else NAMED
        for row in rows:
            x = craft(attack, SOURCE, pick(asked, row), streams.of([row]))
            if int(said(x).argmax()) != int(labels[row]):
                fell[row] = turn
            elif turn == len(names) - 1:
                torch.testing.assert_close(state.x[row : row + 1], x, **CLOSE)
    assert state.own.fell.tolist() == fell.tolist()
    assert len(set(fell.tolist())) > 3, "too few outcomes to tell"
    assert torch.equal(state.x[5], asked.images[5])
    assert torch.equal(said(state.x).argmax(1) != labels, state.reached)
    assert float((state.x - asked.images).abs().max()) <= SOME + 1e-12
    assert state.step == made.steps
    # at 1.3/255 nothing that fools survives being saved, so no turn was cut short
    saved = said((state.x * 255).round() / 255).argmax(1) != labels
    assert not bool(saved[right].any())
    assert not bool(state.own.held.any())
    assert state.own.after.tolist() == [
        3 * (turn + 1) if turn >= 0 else 21 * (turn == STANDS) for turn in fell.tolist()
    ]


def test_autoattack_is_the_same_picture_by_picture_and_each_time():
    draws = torch.get_rng_state()
    made = BY_NAME["autoattack"](eps=SOME, steps=3, targets=2, queries=4).build(SOURCE.spec)
    together = last(made, ASKED)
    assert torch.equal(last(made, ASKED).x, together.x)
    assert torch.equal(torch.get_rng_state(), draws)
    for row in range(6):
        one = alone(made, row)
        torch.testing.assert_close(one.x[0], together.x[row], **CLOSE)
        assert int(one.own.fell) == int(together.own.fell[row])
    assert isinstance(together, Keeping)
    watched = made.look(SOURCE, ASKED, together, together.x, NAMED, Watch(frozenset({Site.ATTN})))
    assert watched.out is not None
    assert torch.equal(watched.success, together.reached)


def test_autoattack_says_what_it_ran_and_who_fell_to_what():
    made = AutoAttack(SOME, 2, 2, 3, SOURCE.spec)
    told, *warned = made.told(last(made, ASKED))
    assert told.startswith("AutoAttack (2 iterations, 2 classes, 3 queries): ")
    assert told.endswith(" stand.")
    assert not warned
    strong = AutoAttack(32 / 255, 6, 3, 12, SOURCE.spec)
    states = [state for state, _ in run(strong, SOURCE, pick(ASKED, 0), Streams(0))]
    assert len(states) < 6
    assert states[-1].step == strong.steps
    assert bool(states[-1].own.held)
    assert int(said((states[-1].x * 255).round() / 255).argmax()) != int(ASKED.labels[0])
    assert f"the picture fell to APGD-CE after {len(states)} steps" in strong.told(states[-1])[0]
    weak = AutoAttack(0.0, 1, 1, 1, SOURCE.spec)
    states = [state for state, _ in run(weak, SOURCE, pick(ASKED, 0), Streams(0))]
    assert "stands so far; APGD-T is at work" in weak.told(states[0])[0]
    assert "stands against all of it" in weak.told(states[-1])[0]
    wrong = replace(pick(ASKED, 0), labels=(ASKED.labels[:1] + 1) % 7)
    assert "wrong" in weak.told(weak.init(SOURCE, wrong, Streams(0)))[0]


class Made(nn.Module):
    """Logits of the mean colours, in a way that something is wrong with."""

    def __init__(self, kind: str, classes: int = 7) -> None:
        super().__init__()
        self.kind, self.classes = kind, classes
        self.weight = nn.Parameter(torch.randn(3, classes, generator=Streams(0).at("made")))

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "steps":
            x = x.round()  # no slope anywhere
        z = x.mean((2, 3)) @ self.weight
        if self.kind == "chance":
            z = z + torch.randn_like(z)
        if self.kind == "steep":
            z = z * 1e6  # sure to the last bit
        return z.softmax(1) if self.kind == "sure" else z


def checked(kind: str, classes: int = 7, targets: int = 3) -> list[str]:
    made = replace(SOURCE, module=Made(kind, classes).double())
    labels = observe(made, ASKED.images, ()).logits.argmax(1)
    return flags(made, replace(ASKED, labels=labels), SOME, targets, Streams(0))


def test_what_makes_it_doubtful_is_said():
    assert checked("plain") == flags(SOURCE, ASKED, SOME, 3, Streams(0)) == []
    with torch.random.fork_rng(devices=[]):
        assert "differently each time" in checked("chance")[0]
    assert "probabilities instead of logits" in checked("sure")[0]
    assert [each.split(" has no ")[0] for each in checked("steps")] == [
        "The cross-entropy",
        "The DLR loss",
    ]
    (steep,) = checked("steep")
    assert "The cross-entropy has no gradient on " in steep
    assert "APGD-T is left out" in checked("plain", 3)[0]
    assert "Of 7 classes 6 can be aimed at" in checked("plain", 7, 9)[0]
    assert better_blind(0, 500) is better_blind(1, 500) is None
    assert "2 of 500 pictures" in str(better_blind(2, 500))


def test_queries_that_beat_gradients_are_a_warning():
    """A model that rounds has no slope, and its three classes leave APGD-T out."""
    spec = replace(SOURCE.spec, classes=("a", "b", "c"))
    stairs = replace(SOURCE, spec=spec, module=Made("steps", 3).double())
    asked = replace(ASKED, labels=observe(stairs, ASKED.images, ()).logits.argmax(1))
    made = AutoAttack(0.2, 3, 9, 60, spec)
    assert [name for name, _ in made.parts] == ["APGD-CE", "FAB-T", "FAB-T", "Square"]
    state = last(made, asked, source=stairs)
    found = made.felled(state.own)
    assert found["APGD-CE"] == found["FAB-T"] == 0
    assert found["Square"] > 0
    told = " ".join(made.told(state))
    assert f"Square, which asks for no gradient, felled {found['Square']} of 6 pictures" in told
    assert "APGD-T is left out" in told
    assert "no gradient on 6 of 6 pictures" in told
