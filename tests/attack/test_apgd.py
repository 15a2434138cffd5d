"""Auto-PGD equals Algorithm 1 of its paper, written as a loop over one picture."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.attack.apgd import apgd, checkpoints
from engine.attack.attack import craft, observe, run
from engine.attack.best import Kept
from engine.attack.chain import Chain
from engine.attack.margin_objective import DLR, TargetedDLR
from engine.attack.objective import CrossEntropy, Objective
from engine.attack.recipes.apgd import AutoPGD
from engine.attack.sequence import Sequence
from engine.core.errors import UnsupportedModel
from engine.core.streams import Streams, uniform
from tests.tiny import CLASSES, pick, task, victim

EPS, STEPS = 2 / 255, 25
SOURCE = victim("vit")
ANSWERS = observe(SOURCE, task(3).images, ()).logits.argmax(1)
ASKED = replace(task(3), labels=ANSWERS)


def clip(x: Tensor, x0: Tensor) -> Tensor:
    return torch.min(torch.max(x, x0 - EPS), x0 + EPS).clamp(0, 1)


def slope(x: Tensor, label: int, kind: str) -> tuple[float, bool, Tensor]:
    """f(x), whether the answer is another, and the gradient, from the bare module."""
    leaf = x.clone().requires_grad_()
    z = SOURCE.logits(leaf)[0]
    loss = z.logsumexp(0) - z[label]
    if kind == "dlr":
        order = z.sort(descending=True).values
        other = max(z[j] for j in range(CLASSES) if j != label)
        loss = -(z[label] - other) / (order[0] - order[2] + 1e-12)
    (g,) = torch.autograd.grad(loss, leaf)
    return float(loss.detach()), int(z.argmax()) != label, g


def published(x0: Tensor, label: int, start: Tensor, kind: str) -> tuple[Tensor, list[float]]:
    """Algorithm 1 for one picture; a checkpoint stands after f(x_w) is known (as in the authors' code).

    Gives the picture with the answer fallen and the highest loss, and the sizes of all steps.
    """
    p = [0.0, 0.22]
    while p[-1] < 1:
        p.append(p[-1] + max(p[-1] - p[-2] - 0.03, 0.06))
    w = sorted({math.ceil(round(each * STEPS, 9)) for each in p})
    eta, etas = 2 * EPS, list[float]()
    xs, fs = [start], list[float]()
    way = list[tuple[bool, float, Tensor]]()
    f_max, x_max = -math.inf, start
    eta_then = f_max_then = math.nan
    for k in range(STEPS + 1):
        f, fell, g = slope(xs[k], label, kind)
        fs.append(f)
        way.append((fell, f, xs[k]))
        if f > f_max:
            f_max, x_max = f, xs[k]
        if k == STEPS:
            break
        if k == 0:
            eta_then, f_max_then = eta, f
        elif k in w:
            since = w[w.index(k) - 1]
            rose = sum(fs[i + 1] > fs[i] for i in range(since, k))
            slow = rose < 0.75 * (k - since)
            still = eta_then == eta and f_max_then == f_max
            eta_then, f_max_then = eta, f_max
            if slow or still:
                eta /= 2
                xs[k], fs[k] = x_max, f_max
                g = slope(xs[k], label, kind)[2]
        etas.append(eta)
        z = clip(xs[k] + eta * g.sign(), x0)
        alpha = 1.0 if k == 0 else 0.75
        back = xs[k] - xs[k - 1] if k else torch.zeros_like(x0)
        xs.append(clip(xs[k] + alpha * (z - xs[k]) + (1 - alpha) * back, x0))
    best = max(range(len(way)), key=lambda i: way[i][:2])
    return way[best][2], etas


@pytest.mark.parametrize("kind", ["ce", "dlr"])
def test_equals_the_papers_algorithm(kind: str):
    """Also in a batch: every picture has its own step sizes."""
    attack = AutoPGD(eps=EPS, steps=STEPS, loss=kind).build(SOURCE.spec)
    streams = Streams(5, (4, 8, 9))
    sizes = list[Tensor]()
    state: Any = None
    for state, _ in run(attack, SOURCE, ASKED, streams):
        sizes.append(state.own.update.size)
    assert isinstance(state, Kept)
    every = list[list[float]]()
    for row, image in enumerate(streams.images):
        one = pick(ASKED, row)
        noise = uniform(one.images.shape, Streams(5, (image,)).at("start")).double() * 2 - 1
        start = clip(one.images + EPS * noise, one.images)
        expected, etas = published(one.images, int(one.labels), start, kind)
        # 1e-9: rounding of float64 before each sign
        torch.testing.assert_close(state.x[row : row + 1], expected, rtol=0, atol=1e-9)
        assert [float(each[row]) for each in sizes] == pytest.approx(etas, rel=1e-12)
        every.append(etas)
    assert all(etas[-1] < etas[0] for etas in every), "no size was halved"
    assert every[0] != every[1] or every[1] != every[2], "no picture has sizes of its own"


def test_checkpoints_are_the_papers():
    places = (0, 22, 41, 57, 70, 80, 87, 93, 99)
    assert tuple(checkpoints(100)) == places
    assert list(checkpoints(100).values())[1:] == [b - a for a, b in pairwise(places)]
    assert checkpoints(1) == {0: 0, 1: 1}
    assert sum(checkpoints(20).values()) == 20


def test_one_gradient_a_step_and_one_look_at_the_end(monkeypatch: pytest.MonkeyPatch):
    passes = list[bool]()
    real = type(SOURCE).logits

    def counted(self: Any, x: Tensor) -> Tensor:
        passes.append(x.requires_grad)
        return real(self, x)

    monkeypatch.setattr(type(SOURCE), "logits", counted)
    craft(apgd(CrossEntropy(), EPS, 6), SOURCE, ASKED, Streams(0))
    assert passes == [True] * 6 + [False]


def objectives(**knobs: Any) -> list[Objective]:
    attack = AutoPGD(**knobs).build(SOURCE.spec)
    tries: tuple[Any, ...] = attack.attacks if isinstance(attack, Sequence) else (attack,)
    chains = [each.attack for each in tries]
    assert all(isinstance(each, Chain) for each in chains)
    return [each.objective for each in chains]


def test_what_is_tried_in_turn():
    assert objectives() == [CrossEntropy()]
    assert objectives(loss="dlr", restarts=2) == [DLR()] * 2
    ranks = [TargetedDLR(rank) for rank in (1, 2, 3)]
    assert objectives(loss="dlr_t", targets=3, restarts=2) == ranks * 2
    assert len(objectives(loss="dlr_t")) == CLASSES - 1
    three = replace(SOURCE.spec, classes=("a", "b", "c"))
    assert AutoPGD(loss="dlr").build(three).steps == 100
    with pytest.raises(UnsupportedModel, match="has 3 classes, and this loss needs 4"):
        AutoPGD(loss="dlr_t").build(three)
