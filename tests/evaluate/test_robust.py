"""Robust accuracy against loops written out, and its laws: batches, unions, iterates, restarts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.alter.saturated import Saturated
from engine.alter.scaled import Scaled
from engine.alter.stack import altered, fitted
from engine.attack.best import Best
from engine.attack.recipes.pgd import PGD
from engine.core.errors import BadTask
from engine.core.streams import Streams
from engine.evaluate.judge import shown
from engine.evaluate.robust import Robust, paired, rate, survivors, within
from engine.model.task import Task
from engine.model.victim import Victim
from tests import tiny

STEPS, EPS = 4, 2 / 255
PGD4 = PGD(eps=EPS, steps=STEPS)


def pictures(victim: Victim, n: int = 10) -> tuple[Tensor, Tensor]:
    """8-bit pictures, all but two of which the victim has right."""
    asked = tiny.task(n)
    pixels = (asked.images * 255).round().to(torch.uint8)
    labels = victim.logits(shown(pixels, victim).double()).argmax(1)
    labels[:2] = (labels[:2] + 1) % tiny.CLASSES
    return pixels, labels


def end(events: Any) -> Robust:
    *_, last = events
    assert isinstance(last, Robust)
    return last


def by_hand(
    judge: Victim, source: Victim, pixels: Tensor, label: Tensor, place: int, eps: float
) -> bool:
    """One picture, PGD and its judge written out: right at x_0, x_1, ..., x_T, and when clean."""
    clean = shown(pixels[None], judge).double()
    noise = torch.rand(clean.shape[1:], generator=Streams(0, (place,)).at("start").each[0]).double()
    x = (clean + eps * (2 * noise - 1)).clamp(clean - eps, clean + eps).clamp(0, 1)
    seen = [clean, x]
    for _ in range(STEPS):
        leaf = x.clone().requires_grad_()
        loss = torch.nn.functional.cross_entropy(source.logits(leaf), label[None])
        (g,) = torch.autograd.grad(loss, leaf)
        x = x + 2.5 * eps / STEPS * g.sign()
        x = x.clamp(clean - eps, clean + eps).clamp(0, 1)
        seen.append(x)
    return all(int(judge.logits(each).argmax()) == int(label) for each in seen)


@pytest.mark.parametrize("factor", [None, 0.3])
def test_survivors_are_those_of_a_loop_written_out_on_any_stack(factor: float | None) -> None:
    bare = tiny.victim()
    judge = altered(bare, (Saturated(c=3),))
    pixels, labels = pictures(judge)
    stack = () if factor is None else (Saturated(c=3), Scaled(factors="uniform", factor=factor))
    source = judge if factor is None else altered(bare, stack)
    found = end(
        survivors(
            judge,
            PGD4,
            pixels,
            labels,
            source=None if factor is None else bare,
            stack=stack,
            batch=3,
        )
    )
    hand = [
        by_hand(judge, source, x, y, i, EPS)
        for i, (x, y) in enumerate(zip(pixels, labels, strict=True))
    ]
    assert found.kept.tolist() == hand
    assert 0 < found.accuracy.count < found.clean.count == len(labels) - 2


def test_learned_factors_belong_to_their_picture_whatever_its_batch_and_what_is_kept_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = tiny.victim()
    pixels, labels = pictures(victim, 6)
    stack = (Scaled(steps=2),)
    first = end(survivors(victim, PGD4, pixels, labels, stack=stack, batch=1, keep=tmp_path))
    whole = end(survivors(victim, PGD4, pixels, labels, stack=stack, batch=6))
    assert first.kept.tolist() == whole.kept.tolist()
    monkeypatch.setattr("engine.evaluate.robust.fitted", None)  # nothing is crafted again
    again = end(survivors(victim, PGD4, pixels, labels, stack=stack, batch=1, keep=tmp_path))
    assert again.kept.tolist() == first.kept.tolist()
    assert again.right.tolist() == first.right.tolist()


def test_on_the_scaled_model_the_scaled_model_is_judged_clean_and_attacked() -> None:
    victim = tiny.victim()
    pixels, labels = pictures(victim, 6)
    for stack in ((Scaled(factors="uniform", factor=0.01),), (Scaled(steps=2),)):
        found = end(survivors(victim, PGD4, pixels, labels, stack=stack, scaled=True, batch=6))
        task = Task(shown(pixels, victim).double(), labels)
        on = fitted(victim, stack, task, Streams(0, tuple(range(6))))
        assert found.right.tolist() == (on.logits(task.images).argmax(1) == labels).tolist()
        assert not (found.kept & ~found.right).any()
    one = altered(victim, (Scaled(factors="uniform", factor=0.01),))
    own = end(survivors(one, PGD4, pixels, labels, batch=6))
    asked = {"stack": (Scaled(factors="uniform", factor=0.01),), "scaled": True, "batch": 6}
    assert end(survivors(victim, PGD4, pixels, labels, **asked)).kept.tolist() == own.kept.tolist()


def test_a_union_and_a_longer_attack_never_raise_robust_accuracy() -> None:
    victim = tiny.victim()
    pixels, labels = pictures(victim)
    short = PGD(eps=EPS, steps=2, step_size=EPS / 2)
    runs = [
        end(survivors(victim, each, pixels, labels, batch=5))
        for each in (short, PGD(eps=EPS, steps=6, step_size=EPS / 2))
    ]
    assert not (runs[1].kept & ~runs[0].kept).any()
    other = end(survivors(victim, short, pixels, labels, batch=5, seed=1))
    both = runs[0] & other
    assert both.kept.tolist() == (runs[0].kept & other.kept).tolist()
    assert both.steps == runs[0].steps + other.steps


def test_only_the_end_counts_where_asked_and_nothing_out_of_the_ball() -> None:
    victim = tiny.victim()
    pixels, labels = pictures(victim)
    everything = end(survivors(victim, PGD4, pixels, labels))
    last = end(survivors(victim, PGD4, pixels, labels, iterates="last"))
    assert not (everything.kept & ~last.kept).any()
    none = end(survivors(victim, PGD(eps=0.0, steps=2), pixels, labels))
    assert none.kept.tolist() == none.right.tolist()
    far = end(survivors(victim, PGD(eps=0.1, steps=2), pixels, labels, iterates="last"))
    assert far.accuracy.count < far.clean.count
    tiny_ball = PGD(eps=1 / 255, steps=STEPS, step_size=1e-5)
    assert end(survivors(victim, tiny_ball, pixels, labels, eps=1e-7)).kept.tolist() == (
        none.right.tolist()
    )
    with pytest.raises(BadTask):
        within(object(), 0.1)  # pyright: ignore[reportArgumentType]
    assert isinstance(within(Best(PGD4.build(victim.spec)), 0.1), Best)


def test_a_pair_is_compared_picture_by_picture() -> None:
    first = torch.tensor([1, 1, 1, 1, 0, 0, 1, 1, 1, 0]).bool()
    second = torch.tensor([0, 0, 1, 0, 0, 1, 0, 0, 0, 0]).bool()
    found = paired(first, second)
    assert (found.only_first, found.only_second) == (6, 1)
    assert found.gap.value == pytest.approx(50)
    assert found.p == pytest.approx(2 * 8 / 2**7)
    assert paired(second, first).gap.value == pytest.approx(-50)
    assert rate(first).value == pytest.approx(70)
