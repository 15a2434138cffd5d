"""Auto-PGD: each picture's step size is its own, halved where its progress stalls."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from engine.attack.best import Best
from engine.attack.chain import Chain
from engine.attack.constraint import LinfBall
from engine.attack.moment import Moment
from engine.attack.objective import Objective
from engine.attack.update import Update
from engine.core.shapes import Images, PerExample

PULL = 0.75
"""alpha: the share of the new step, the rest goes on as before."""
RISES = 0.75
"""rho: the share of steps that must have raised the loss for a step size to stay."""


class Track(NamedTuple):
    """What each picture's way has been.

    `size` is its step; `before` and `loss` the picture before and what it lost; `top`, `top_g` and
    `top_loss` the best so far with its gradient; `rises` the steps since the last checkpoint that
    raised the loss; `mark` the best loss at that checkpoint, `halved` whether the size was then.
    """

    size: PerExample
    before: Images
    loss: PerExample
    top: Images
    top_g: Tensor
    top_loss: PerExample
    rises: PerExample
    mark: PerExample
    halved: Tensor


def apgd(objective: Objective, eps: float, steps: int) -> Best:
    """Auto-PGD in the eps ball from a random start; it gives the best picture of its way."""
    ball = LinfBall(eps)
    return Best(Chain(objective, auto_step(ball), ball, steps, start="random"))


def auto_step(ball: LinfBall) -> Update:
    """x_{k+1} = P(x_k + alpha (P(x_k + eta sign g) - x_k) + (1 - alpha) (x_k - x_{k-1})), eta_0 = 2 eps.

    The first step has alpha 1. At each checkpoint a picture's eta is halved, and it goes on from its
    best so far, where fewer than 3/4 of the steps since the last one raised the loss, or where
    neither eta nor the best loss has changed since (Croce and Hein, ICML 2020, Algorithm 1). A
    checkpoint looks at all steps before it, as in the published code; the printed loop takes one
    more, which it may throw away. No gradient is taken but that of the step.
    """

    def init(x: Images) -> Track:
        none = x.new_zeros(len(x))
        low, high = none - torch.inf, none + torch.inf
        size, halved = none + 2 * ball.eps, none == 0  # so that step 0, a checkpoint, halves none
        return Track(size, x, high, x, torch.zeros_like(x), low, none, low, halved)

    def apply(g: Tensor, state: Any, at: Moment) -> tuple[Tensor, Any]:
        assert at.x is not None  # an update is told both
        assert at.loss is not None
        track, x = _seen(state, at.x, g, at.loss), at.x
        if (window := checkpoints(at.steps).get(at.step)) is not None:
            halve = track.rises < RISES * window
            halve |= ~track.halved & (track.top_loss == track.mark)
            x, g = _pick(halve, track.top, x), _pick(halve, track.top_g, g)
            track = track._replace(
                size=torch.where(halve, track.size / 2, track.size),
                loss=torch.where(halve, track.top_loss, track.loss),
                rises=torch.zeros_like(track.rises),
                mark=track.top_loss,
                halved=halve,
            )
        low, high = ball.ends(at.x0)
        ahead = (track.size.view(-1, 1, 1, 1) * g.sign()).add_(x).clamp_(low, high)
        pull = PULL if at.step else 1.0
        new = x.lerp(ahead, pull).add_(x - track.before, alpha=1 - pull).clamp_(low, high)
        return new - at.x, track._replace(before=x)

    return Update(init, apply)


@cache
def checkpoints(steps: int) -> dict[int, int]:
    """Steps at which sizes are looked at, with the steps since the last such: ceil(p_j steps).

    p_0 = 0, p_1 = 0.22, p_{j+1} = p_j + max(p_j - p_{j-1} - 0.03, 0.06), here in whole hundredths.
    """
    found, last, p, gap = {0: 0}, 0, 22, 22
    while p < 100:
        at = -(-p * steps // 100)
        if at > last:
            found[at], last = at - last, at
        gap = max(gap - 3, 6)
        p += gap
    return found


def _seen(track: Track, x: Images, g: Tensor, loss: PerExample) -> Track:
    """The track after a look at x."""
    better = loss > track.top_loss
    return track._replace(
        loss=loss,
        top=_pick(better, x, track.top),
        top_g=_pick(better, g, track.top_g),
        top_loss=torch.where(better, loss, track.top_loss),
        rises=track.rises + (loss > track.loss),
    )


def _pick(which: Tensor, yes: Images, no: Images) -> Images:
    if not bool(which.any()):
        return no
    return yes if bool(which.all()) else torch.where(which.view(-1, 1, 1, 1), yes, no)
