"""What makes AutoAttack's word on a model doubtful: its self-checks, as sentences."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.attack.attack import NOTHING, observe
from engine.attack.chain import Chain
from engine.attack.constraint import LinfBall
from engine.attack.margin_objective import DLR
from engine.attack.moment import Moment
from engine.attack.objective import CrossEntropy, Objective
from engine.attack.update import sign
from engine.core.shapes import Logits
from engine.core.streams import Streams
from engine.model.task import Task
from engine.model.victim import Victim

PASSES = 5
ALIKE = 1e-4
"""How far normalised logits of the same pictures may lie apart (L2), as published."""
SHARE = 1e-5
MOST_BETTER = 0.002
"""The share of pictures that queries may fell beyond what gradients did, as published."""


def flags(victim: Victim, task: Task, eps: float, targets: int, streams: Streams) -> list[str]:
    """What is wrong before any attack: chance, probabilities, few classes, no gradient.

    Croce and Hein, ICML 2020, with the checks of their published code, but for the one of models
    that optimise as they answer, which no family here does. The gradient is looked at from
    where APGD may begin, of both its losses.
    """
    passes = [observe(victim, task.images, ()).logits for _ in range(PASSES)]
    found = [chance(passes), probabilities(passes[0]), few_classes(passes[0].shape[1], targets)]
    losses: dict[str, Objective] = {"cross-entropy": CrossEntropy()}
    if passes[0].shape[1] >= 3:
        losses["DLR loss"] = DLR()
    x = LinfBall(eps).sample(task.images, streams.at("flags"))
    for name, loss in losses.items():
        slope = Chain(loss, sign(), LinfBall(eps), 1)
        at = Moment(0, 1, task)
        g = slope.gradient(victim, x, at, streams.at("flags", name), NOTHING).g
        found.append(no_gradient(g, name))
    return [each for each in found if each]


def chance(passes: list[Logits]) -> str | None:
    """Where the same pictures get other logits each time."""
    unit = torch.stack([each / each.norm(dim=1, keepdim=True).clamp_min(1e-10) for each in passes])
    apart = (unit[:, None] - unit).norm(dim=-1).max()
    answers = torch.stack([each.argmax(1) for each in passes])
    if float(apart) <= ALIKE and bool((answers == answers[0]).all()):
        return None
    return (
        "The model answers the same picture differently each time: a randomised defence needs "
        "attacks that average over its draws."
    )


def probabilities(logits: Logits) -> str | None:
    """Where what should be logits looks like probabilities."""
    inside = logits.min() > -SHARE and logits.max() < 1 + SHARE
    if not (inside and bool(((logits.sum(1) - 1).abs() < SHARE).all())):
        return None
    return "The model gives probabilities instead of logits: its gradients may vanish where it is sure."


def few_classes(classes: int, targets: int) -> str | None:
    """Where a loss cannot be had, or fewer classes than asked for can be aimed at."""
    if classes < 4:
        return f"APGD-T is left out: its loss needs 4 classes, and the model has {classes}."
    if classes <= targets:
        return f"Of {classes} classes {classes - 1} can be aimed at, and not {targets}."
    return None


def no_gradient(g: Tensor, loss: str) -> str | None:
    """Where some pictures have no gradient at all."""
    none = int((g.flatten(1).abs().amax(1) == 0).sum())
    if not none:
        return None
    where = "the picture" if len(g) == 1 else f"{none} of {len(g)} pictures"
    return f"The {loss} has no gradient on {where}: attacks along gradients cannot move there."


def better_blind(by_queries: int, pictures: int) -> str | None:
    """Where Square succeeds on pictures that all attacks along gradients left standing."""
    if by_queries <= MOST_BETTER * pictures:
        return None
    what = "the picture" if pictures == 1 else f"{by_queries} of {pictures} pictures"
    return (
        f"Square, which asks for no gradient, felled {what} after all attacks along gradients had "
        "failed: the gradients may be masked, and the model less robust than it seems."
    )
