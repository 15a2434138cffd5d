"""QuantAttack's universal perturbation (spec A5): trained on a folder, saved, resumed, measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.alter.quantize.int8 import Int8
from engine.alter.quantize.peaks import Peaks
from engine.attack.recipes.quantattack import QuantAttack
from engine.attack.universal import Training, Universal
from engine.core.knobs import Knobbed, knob
from engine.evaluate import universal as perturbing
from engine.evaluate.judge import shown
from engine.evaluate.universal import Events
from engine.papers.paper import Photographs
from engine.papers.perturbing import Ground
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
    asked: Photographs, chosen: Settings, out: Path | None = None, resume: bool = False
) -> Events:
    """Train a model's perturbation on photographs, saved after every epoch.

    The last event is the finished perturbation with the outlier columns of an int8 model on the
    pictures held out. `resume` goes on from the file if it is there. Raises BadTask for too few
    pictures or a file that something else made.
    """
    ground = Ground.of(asked)
    path = out or ground.file(QuantAttack.name)
    yield from perturbing.kept(path, resume, lambda before: train(ground, chosen, before))


def train(ground: Ground, chosen: Settings, before: Universal | None = None) -> Events:
    """As `universal`, of what is in memory; every epoch's end is an event."""
    victim = ground.victim
    _, known = perturbing.apart(ground.pixels)
    threshold = chosen.threshold
    if chosen.share:
        few = shown(known[: perturbing.MOST_HELD], victim)
        threshold = Peaks.of(victim, few).threshold_for(chosen.share)
    recipe = QuantAttack(
        eps=chosen.eps, threshold=threshold, form=chosen.form, class_weight=chosen.class_weight
    )
    int8 = Int8(threshold)(victim)
    training = Training(chosen.eps, chosen.step, chosen.epochs, chosen.batch)
    blank = training.blank(
        victim,
        attack=recipe.name,
        label=ground.label,
        weights=ground.weights,
        settings={"threshold": threshold},
    )
    yield from perturbing.train(
        victim,
        recipe.build(victim.spec),
        training,
        ground.pixels,
        lambda some: {"outlier columns": workload(int8, some).columns},
        blank,
        seed=chosen.seed,
        before=before,
    )
