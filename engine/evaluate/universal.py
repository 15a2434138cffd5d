"""One perturbation or patch for any picture of a model, made of any attack: trained, and measured on
others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from engine.attack.attack import Attack
from engine.attack.constraint import to_8bit
from engine.attack.universal import Figure, HeldOut, Training, Universal, load, save
from engine.core.errors import BadTask
from engine.core.shapes import PerExample
from engine.core.streams import Streams
from engine.data.folder import batches, read_folder
from engine.evaluate.judge import predict, shown
from engine.evaluate.noise import noisy
from engine.evaluate.progress import Progress
from engine.model.task import task_for
from engine.model.victim import Victim

LEAST = 5
MOST_HELD = 64

Measure = Callable[[Tensor], Mapping[str, PerExample]]
"""What is measured of n saved pictures, uint8 (n, 3, y, x): a number for each, by name."""
Events = Iterator[Progress | Universal]


def pictures(
    folder: Path, victim: Victim, limit: int | None = None, label: int | None = None
) -> Tensor:
    """The pictures of a labelled folder, all or those of one class, 8 bits at the victim's input size.

    Raises BadTask where there are too few, BadFolder, BadImage.
    """
    items = [
        each
        for each in read_folder(folder, victim.spec.classes)
        if label is None or each.label == label
    ][:limit]
    _check_enough(len(items))
    (found,) = batches(items, victim.spec.input_size, 1.0, len(items))
    return found.images


def apart(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """A fifth of the pictures, at most 64, to measure on, and the others; BadTask where too few."""
    _check_enough(len(pixels))
    held = min(MOST_HELD, len(pixels) // LEAST)
    return pixels[:held], pixels[held:]


def _check_enough(count: int) -> None:
    if count < LEAST:
        raise BadTask(f"{count} pictures are too few.", f"Give at least {LEAST}.")


def train(
    victim: Victim,
    attack: Attack,
    training: Training,
    pixels: Tensor,
    measure: Measure,
    blank: Universal,
    *,
    seed: int = 0,
    before: Universal | None = None,
) -> Events:
    """Train on 8-bit pictures (n, 3, y, x): an event a batch, what there is at every epoch's end.

    `blank` is what it goes out from, `before` what it goes on from instead. The last event is the
    finished perturbation with its figures on the pictures held out. Labels are the model's own
    answers. Raises BadTask for too few pictures, or where `before` is of another run.
    """
    held, known = apart(pixels)
    made = replace(blank, pictures=len(known))
    if before is not None:
        _check_same(before, made)
        made = before
    answers = torch.cat([predict(victim, each) for each in known.split(32)])
    task = task_for(victim, shown(known, victim), answers)
    for at in training(attack, victim, task, Streams(seed), made):
        made = at.made
        done = at.epoch * at.batches + at.batch + 1
        yield Progress("universal perturbation", done, training.epochs * at.batches)
        if at.batch + 1 == at.batches:
            yield made
    if training.pace == "cosine":
        made = made.finished()
    yield replace(made, measured=measured(victim, made, held, measure, seed))


def _check_same(before: Universal, asked: Universal) -> None:
    names = ["victim", "attack", "label", "side", "eps", "pictures"]
    names += ["weights"] * bool(before.weights)  # the first files do not say
    old, new = ({name: getattr(each, name) for name in names} for each in (before, asked))
    old |= before.settings
    new |= asked.settings
    for name, value in old.items():
        if value != new.get(name):
            raise BadTask(
                f"The saved perturbation is of another run: its {name} is {value}, "
                f"not {new.get(name)}.",
                "Repeat that run's settings, or train anew without --resume.",
            )


def measured(
    victim: Victim, made: Universal, pixels: Tensor, measure: Measure, seed: int = 0
) -> HeldOut:
    """What it does to 8-bit pictures of the victim's input size, beside noise of its size."""
    sets = pixels, saved(made, pixels, victim), _noisy(made, pixels, victim, seed)
    found = [measure(each) for each in sets]
    return HeldOut(
        len(pixels),
        {name: Figure(*(float(each[name].double().mean()) for each in found)) for name in found[0]},
    )


def saved(made: Universal, pixels: Tensor, victim: Victim) -> Tensor:
    """8-bit pictures with it, as they would be saved."""
    clean = shown(pixels, victim)
    return to_8bit(made.apply(clean), clean, made.eps).cpu()


def _noisy(made: Universal, pixels: Tensor, victim: Victim, seed: int) -> Tensor:
    """Sign noise of the budget; of a patch, the same square filled with random pixels."""
    if not made.side:
        return noisy(pixels, made.eps, seed)
    random = torch.randint(0, 256, made.delta.shape, generator=Streams(seed).at("noise"))
    return saved(replace(made, delta=random / 255), pixels, victim)


def kept(path: Path, resume: bool, train: Callable[[Universal | None], Events]) -> Events:
    """Train and save in `path` after every epoch; the last event is the finished perturbation.

    `resume` goes on from that file if it is there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for each in train(load(path) if resume and path.is_file() else None):
        if isinstance(each, Universal):
            save(each, path)
            if each.measured:
                yield each
        else:
            yield each
