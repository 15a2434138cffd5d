"""QuantAttack's universal perturbation (spec A5): trained on a folder, saved, resumed, measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from engine.alter.quantize.int8 import Int8
from engine.alter.quantize.peaks import Peaks
from engine.attack.recipes.quantattack import QuantAttack
from engine.attack.universal import Training, Universal, load, save
from engine.core.knobs import Knobbed, knob
from engine.data.folder import batches, read_folder
from engine.evaluate import universal as perturbing
from engine.evaluate.judge import shown
from engine.evaluate.progress import Progress
from engine.model import zoo
from engine.model.victim import Victim
from engine.papers.quant.workload import workload


@dataclass(frozen=True)
class Settings(Knobbed):
    """How to train."""

    eps: float = knob(
        8 / 255,
        "Largest change of any pixel.",
        label="Budget eps",
        low=1 / 255,
        high=32 / 255,
        unit="1/255",
    )
    step: float = knob(0.002, "Size of one step, in pixels from 0 to 1.", low=1e-5, high=1)
    epochs: int = knob(20, "Passes over the pictures.", low=1, high=10000)
    batch: int = knob(8, "Pictures whose gradients are summed.", low=1, high=1024)
    form: str = knob("count", "Form of QuantAttack's loss.", choices=("code", "paper", "count"))
    class_weight: float = knob(50.0, "Weight of the term that keeps answers.", low=0, high=1e6)
    threshold: float = knob(6.0, "Size from which an input is an outlier.", low=0.01, high=1000)
    share: float = knob(
        0.0,
        "Sets the threshold: this share of the training pictures' columns reaches it (spec C6).",
        low=0,
        high=0.99,
    )
    seed: int = knob(0, "Order and draws.", low=0, high=2**53 - 1)


def universal(
    folder: Path,
    model: str,
    out: Path,
    settings: Settings | None = None,
    *,
    limit: int | None = None,
    resume: bool = False,
    weights: Path | None = None,
) -> Iterator[Progress | Universal]:
    """Train a model's perturbation on a folder of pictures, saved in `out` after every epoch.

    The last event is the finished perturbation with the outlier columns of an int8 model on the
    pictures held out. `resume` goes on from `out` if it is there. Raises BadTask for too few
    pictures or a file that something else made.
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
) -> Iterator[Progress | Universal]:
    """As `universal`, for 8-bit pictures (n, 3, y, x) in memory; every epoch's end is an event."""
    _, known = perturbing.apart(pixels)
    threshold = chosen.threshold
    if chosen.share:
        few = shown(known[: perturbing.MOST_HELD], victim)
        threshold = Peaks.of(victim, few).threshold_for(chosen.share)
    recipe = QuantAttack(
        eps=chosen.eps, threshold=threshold, form=chosen.form, class_weight=chosen.class_weight
    )
    int8 = Int8(threshold)(victim)
    yield from perturbing.train(
        victim,
        recipe.build(victim.spec),
        Training(chosen.eps, chosen.step, chosen.epochs, chosen.batch),
        pixels,
        {"outlier columns": lambda held: workload(int8, held).columns},
        threshold=threshold,
        seed=chosen.seed,
        before=before,
    )
