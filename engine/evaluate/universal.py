"""One perturbation for any picture of a model: trained on a folder, resumed, measured on others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from engine.alter.quantize.int8 import Int8
from engine.alter.quantize.peaks import Peaks
from engine.attack.constraint import to_8bit
from engine.attack.recipes.quantattack import QuantAttack
from engine.attack.universal import HeldOut, Training, Universal, load, save
from engine.core.errors import BadTask
from engine.core.shapes import Labels
from engine.core.streams import Streams
from engine.data.folder import batches, read_folder
from engine.evaluate.judge import predict, shown
from engine.model import zoo
from engine.model.task import Task
from engine.model.victim import Victim
from engine.papers.quant.reading import Doing, noisy, read

LEAST = 5
MOST_HELD = 64


@dataclass(frozen=True)
class Settings:
    """How to train; a `share` above 0 sets the threshold by the training pictures (spec C6)."""

    eps: float = 8 / 255
    step: float = 0.002
    epochs: int = 20
    batch: int = 8
    form: str = "count"
    class_weight: float = 50.0
    threshold: float = 6.0
    share: float = 0.0
    seed: int = 0


def universal(
    folder: Path,
    model: str,
    out: Path,
    settings: Settings | None = None,
    *,
    limit: int | None = None,
    resume: bool = False,
    weights: Path | None = None,
) -> Iterator[Doing | Universal]:
    """Train a model's perturbation on a folder of pictures, saved in `out` after every epoch.

    A fifth of the pictures, at most 64, is held out; the last event is the finished perturbation
    with what it does to them. `resume` goes on from `out` if it is there. Labels are the model's
    own answers. Raises BadTask for too few pictures or a file that something else made.
    """
    chosen = settings or Settings()
    victim = zoo.load(model, weights)
    items = read_folder(folder, victim.spec.classes, limit=limit)
    (found,) = batches(items, victim.spec.input_size, 1.0, max(1, len(items)))
    out.parent.mkdir(parents=True, exist_ok=True)
    before = load(out) if resume and out.is_file() else None
    for each in train(victim, found.images, chosen, before):
        if isinstance(each, Universal):
            save(each, out)
            if each.measured:
                yield each
        else:
            yield each


def train(
    victim: Victim, pixels: Tensor, chosen: Settings, before: Universal | None = None
) -> Iterator[Doing | Universal]:
    """As `universal`, for 8-bit pictures (n, 3, y, x) in memory; every epoch's end is an event."""
    apart = min(MOST_HELD, len(pixels) // 5)
    if not apart:
        raise BadTask(f"{len(pixels)} pictures are too few.", f"Give at least {LEAST}.")
    held, known = pixels[:apart], pixels[apart:]
    images = shown(known, victim)
    threshold = chosen.threshold
    if chosen.share:
        threshold = Peaks.of(victim, images[:MOST_HELD]).threshold_for(chosen.share)
    start = Universal(
        torch.zeros_like(images[0]).cpu(),
        chosen.eps,
        victim.spec.name,
        threshold=threshold,
        pictures=len(known),
    )
    if before is not None:
        _check_same(before, start)
        start = before
    recipe = QuantAttack(
        eps=chosen.eps, threshold=threshold, form=chosen.form, class_weight=chosen.class_weight
    )
    training = Training(chosen.eps, chosen.step, chosen.epochs, chosen.batch)
    task = Task(images, _answers(victim, known))
    made = start
    for at in training(recipe.build(victim.spec), victim, task, Streams(chosen.seed), start):
        made = at.made
        done = at.epoch * at.batches + at.batch + 1
        yield Doing("universal perturbation", done, chosen.epochs * at.batches)
        if at.batch + 1 == at.batches:
            yield made
    yield replace(made, measured=_measure(victim, made, held, chosen.seed))


def _answers(victim: Victim, pixels: Tensor) -> Labels:
    return torch.cat([predict(victim, each) for each in pixels.split(32)]).to(victim.device)


def _check_same(before: Universal, asked: Universal) -> None:
    for name in ("victim", "eps", "threshold", "pictures"):
        old, new = getattr(before, name), getattr(asked, name)
        if old != new:
            raise BadTask(
                f"The saved perturbation is of another run: its {name} is {old}, not {new}.",
                "Repeat that run's settings, or train anew without --resume.",
            )


def _measure(victim: Victim, made: Universal, held: Tensor, seed: int) -> HeldOut:
    int8 = Int8(made.threshold)(victim)
    clean = shown(held, victim)
    attacked = to_8bit(made.apply(clean), clean, made.eps).cpu()
    counts = [
        float(read(int8, each).columns.mean())
        for each in (held, attacked, noisy(held, made.eps, seed))
    ]
    return HeldOut(len(held), *counts)
