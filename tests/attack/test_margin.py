"""Objectives on logits: by hand, invariances (spec 6.2.7), gradients against finite differences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from engine.attack.margin_objective import DLR, Guided, Margin, TargetedDLR
from engine.attack.moment import Moment
from engine.attack.objective import CrossEntropy, Objective
from engine.core.streams import Streams
from engine.model.task import Task
from engine.model.victim import Forward

B, CLASSES = 5, 6
GEN = Streams(3).at("logits")
LOGITS, BEFORE, FIRST = (3 * torch.randn(B, CLASSES, generator=GEN).double() for _ in range(3))
IMAGES = torch.zeros(B, 3, 2, 2).double()
LABELS = torch.tensor([0, 3, 5, 2, 2])
AIMS = (LABELS + 2) % CLASSES
STEP, STEPS = 3, 20


def out(z: Tensor) -> Forward:
    return Forward(IMAGES, z, {}, {})


def moment(target: Tensor | None = None, step: int = STEP) -> Moment:
    asked = Task(IMAGES, LABELS, target)
    return Moment(step, STEPS, asked, clean=out(BEFORE), first=out(FIRST))


def margin(z: list[float], y: int) -> float:
    return max(v for j, v in enumerate(z) if j != y) - z[y]


def dlr(z: list[float], y: int) -> float:
    order = sorted(z, reverse=True)
    return -(z[y] - max(v for j, v in enumerate(z) if j != y)) / (order[0] - order[2])


def dlr_t(z: list[float], y: int, t: int) -> float:
    order = sorted(z, reverse=True)
    return -(z[y] - z[t]) / (order[0] - (order[2] + order[3]) / 2)


def second_wrong(row: int) -> int:
    y = int(LABELS[row])
    wrong = [j for j in range(CLASSES) if j != y]
    return sorted(wrong, key=lambda j: -float(BEFORE[row, j]))[1]


def guided(z: list[float], row: int, others: Tensor, weight: float) -> float:
    pair = torch.tensor((z, others[row].tolist()), dtype=torch.float64)
    p, r = pair.softmax(1).tolist()
    away = sum((a - b) ** 2 for a, b in zip(p, r, strict=True))
    return margin(p, int(LABELS[row])) + weight * away


WEIGHT = 50 * (1 - STEP / (STEPS / 4))  # 25 of 100 steps, as published
BY_HAND: list[tuple[str, Objective, Tensor | None, Callable[[list[float], int], float]]] = [
    ("margin", Margin(), None, lambda z, i: margin(z, int(LABELS[i]))),
    ("margin, aimed", Margin(), AIMS, lambda z, i: -margin(z, int(AIMS[i]))),
    ("dlr", DLR(), None, lambda z, i: dlr(z, int(LABELS[i]))),
    ("dlr, aimed", DLR(), AIMS, lambda z, i: -dlr(z, int(AIMS[i]))),
    ("dlr_t", TargetedDLR(2), None, lambda z, i: dlr_t(z, int(LABELS[i]), second_wrong(i))),
    (
        "dlr_t, aimed",
        TargetedDLR(2),
        AIMS,
        lambda z, i: dlr_t(z, int(LABELS[i]), int(AIMS[i])),
    ),
    ("gama", Guided(), None, lambda z, i: guided(z, i, FIRST, WEIGHT)),
    ("gama, clean", Guided(50, "clean"), None, lambda z, i: guided(z, i, BEFORE, WEIGHT)),
]


@pytest.mark.parametrize(("objective", "target", "expected"), [each[1:] for each in BY_HAND])
def test_equals_its_formula_and_its_slope_finite_differences(
    objective: Objective, target: Tensor | None, expected: Callable[[list[float], int], float]
):
    at = moment(target)
    found = objective(out(LOGITS), at)
    by_hand = [expected(row, i) for i, row in enumerate(LOGITS.tolist())]
    # 1e-9: the 1e-12 below a ratio, and rounding
    torch.testing.assert_close(
        found, torch.tensor(by_hand, dtype=torch.float64), rtol=1e-9, atol=1e-9
    )
    leaf = LOGITS.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: objective(out(z), at), leaf)
    # per example: a row's value is its own
    (g,) = torch.autograd.grad(objective(out(leaf), at)[0], leaf)
    assert not bool(g[1:].any())


def test_guidance_fades_within_a_quarter_of_the_steps():
    def away(step: int) -> Tensor:
        at = moment(step=step)
        return Guided()(out(LOGITS), at) - Guided(0.0)(out(LOGITS), at)

    at = moment(step=0)
    assert Guided().wants_first
    assert not Guided().wants_clean
    assert not Guided(50, "clean").wants_first
    torch.testing.assert_close(away(1), 0.8 * away(0))
    assert not bool(away(STEPS // 4).any())
    # at step 0 the first picture is this one, and nothing guides yet
    here = replace(at, first=out(LOGITS))
    assert torch.equal(Guided()(out(LOGITS), here), Guided(0.0)(out(LOGITS), here))


def test_what_scaling_and_shifting_logits_changes():
    at = moment()
    moved, scaled = LOGITS + 7, 1e-3 * LOGITS
    for objective in (Margin(), DLR(), TargetedDLR(1), Guided(), CrossEntropy()):
        torch.testing.assert_close(objective(out(moved), at), objective(out(LOGITS), at))
    for objective in (DLR(), TargetedDLR(1)):
        # 1e-7: the 1e-12 beside a range of 1e-3
        torch.testing.assert_close(
            objective(out(scaled), at), objective(out(LOGITS), at), rtol=1e-7, atol=1e-9
        )
    for objective in (Margin(), CrossEntropy()):
        changed = objective(out(scaled), at) - objective(out(LOGITS), at)
        assert float(changed.abs().min()) > 0.1
    # and a margin above 0 is another answer
    wrong = LOGITS.argmax(1) != LABELS
    assert 0 < int(wrong.sum()) < B
    for objective in (Margin(), DLR(), Guided(0.0)):
        assert torch.equal(objective(out(LOGITS), at) > 0, wrong)
