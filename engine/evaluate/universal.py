"""One perturbation for any picture of a model, made of any attack: trained, and measured on others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from engine.attack.attack import Attack
from engine.attack.constraint import to_8bit
from engine.attack.universal import Figure, HeldOut, Training, Universal
from engine.core.errors import BadTask
from engine.core.shapes import PerExample
from engine.core.streams import Streams
from engine.evaluate.judge import predict, shown
from engine.evaluate.noise import noisy
from engine.evaluate.progress import Progress
from engine.model.task import task_for
from engine.model.victim import Victim

LEAST = 5
MOST_HELD = 64

Figures = Mapping[str, Callable[[Tensor], PerExample]]
"""What is measured, by name: a number for each of n saved pictures, uint8 (n, 3, y, x)."""


def apart(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """A fifth of the pictures, at most 64, to measure on, and the others; BadTask where too few."""
    held = min(MOST_HELD, len(pixels) // 5)
    if not held:
        raise BadTask(f"{len(pixels)} pictures are too few.", f"Give at least {LEAST}.")
    return pixels[:held], pixels[held:]


def train(
    victim: Victim,
    attack: Attack,
    training: Training,
    pixels: Tensor,
    figures: Figures,
    *,
    threshold: float = 0.0,
    seed: int = 0,
    before: Universal | None = None,
) -> Iterator[Progress | Universal]:
    """Train on 8-bit pictures (n, 3, y, x): an event a batch, what there is at every epoch's end.

    The last event is the finished perturbation with its figures on the pictures held out. `before`
    is gone on from. Labels are the model's own answers. Raises BadTask for too few pictures, or
    where `before` is of another run.
    """
    held, known = apart(pixels)
    images = shown(known, victim)
    nothing = torch.zeros_like(images[0]).cpu()
    made = Universal(
        nothing, training.eps, victim.spec.name, threshold=threshold, pictures=len(known)
    )
    if before is not None:
        _check_same(before, made)
        made = before
    answers = torch.cat([predict(victim, each) for each in known.split(32)])
    task = task_for(victim, images, answers)
    for at in training(attack, victim, task, Streams(seed), made):
        made = at.made
        done = at.epoch * at.batches + at.batch + 1
        yield Progress("universal perturbation", done, training.epochs * at.batches)
        if at.batch + 1 == at.batches:
            yield made
    yield replace(made, measured=_measured(victim, made, held, figures, seed))


def _check_same(before: Universal, asked: Universal) -> None:
    for name in ("victim", "eps", "threshold", "pictures"):
        old, new = getattr(before, name), getattr(asked, name)
        if old != new:
            raise BadTask(
                f"The saved perturbation is of another run: its {name} is {old}, not {new}.",
                "Repeat that run's settings, or train anew without --resume.",
            )


def _measured(
    victim: Victim, made: Universal, held: Tensor, figures: Figures, seed: int
) -> HeldOut:
    clean = shown(held, victim)
    attacked = to_8bit(made.apply(clean), clean, made.eps).cpu()
    sets = held, attacked, noisy(held, made.eps, seed)
    return HeldOut(
        len(held),
        {
            name: Figure(*(float(of(each).double().mean()) for each in sets))
            for name, of in figures.items()
        },
    )
