"""DeSparsify's universal and class-universal perturbation and universal patch (spec 4.5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from engine.alter.ensemble import Mean
from engine.attack.recipe import Recipe
from engine.attack.recipes.desparsify import DeSparsify
from engine.attack.recipes.slowformer import SlowFormer
from engine.attack.universal import PATCH, Training, Universal
from engine.core.knobs import Knobbed, knob, knob_of
from engine.core.shapes import PerExample
from engine.evaluate import universal as perturbing
from engine.evaluate.universal import Events
from engine.model.victim import Victim
from engine.papers.desparsify.passes import dense_macs, look, wanted
from engine.papers.paper import Photographs
from engine.papers.perturbing import Ground


@dataclass(frozen=True)
class Settings(Knobbed):
    """How to train."""

    kind: str = knob(
        "pixels",
        "A perturbation of every pixel within eps, or a patch: a square in the upper left, without "
        "bound, whose side is 64/224 of the picture's.",
        choices=("pixels", PATCH),
    )
    eps: float = knob(
        16 / 255,
        "Largest change of any pixel; of a patch, 1.",
        label="Budget eps",
        low=1 / 255,
        high=32 / 255,
        unit="1/255",
    )
    step: float = knob(
        0.0,
        "Size of the first step, in pixels from 0 to 1; 0 stands for a tenth of the budget.",
        low=0,
        high=1,
    )
    epochs: int = knob(2, "Passes over the pictures.", low=1, high=10000)
    batch: int = knob(8, "Pictures whose gradients are summed.", low=1, high=1024)
    lam: float = knob_of(
        DeSparsify,
        "lam",
        help="How strongly clean answers are kept; 0.3 on AdaViT and 1 on A-ViT keep about as many as "
        "noise of the size does.",
    )
    mu: float = knob_of(DeSparsify, "mu")
    attack: str = knob(
        DeSparsify.name,
        "Whose losses: DeSparsify's, or SlowFormer's, whose own patch is one for all pictures.",
        choices=(DeSparsify.name, SlowFormer.name),
    )
    form: str = knob_of(DeSparsify, "form")
    reading: str = knob_of(DeSparsify, "reading")
    decisions: str = knob_of(DeSparsify, "decisions")
    seed: int = knob(0, "Order and draws.", low=0, high=2**53 - 1)

    def recipe(self) -> Recipe:
        """What gives the gradients."""
        if self.attack == SlowFormer.name:
            return SlowFormer(lam=self.lam)
        return DeSparsify(
            eps=self.eps,
            lam=self.lam,
            form=self.form,
            reading=self.reading,
            decisions=self.decisions,
        )

    def training(self, size: int) -> Training:
        """For pictures of that size."""
        side = round(SlowFormer.patch * size) if self.kind == PATCH else 0
        eps = 1.0 if side else self.eps
        return Training(
            eps, self.step or eps / 10, self.epochs, self.batch, "cosine", self.mu, side
        )


def universal(
    asked: Photographs, chosen: Settings, out: Path | None = None, resume: bool = False
) -> Events:
    """Train one for a model on photographs, all or those of a class, saved after every epoch.

    The last event is the finished one with what it does to the pictures held out. `resume` goes on
    from the file if it is there. Raises BadTask for too few pictures or a file that something else
    made, UnsupportedModel for a model without tokens to wake.
    """
    ground = Ground.of(asked)
    side = chosen.training(ground.victim.spec.input_size).side
    path = out or ground.file(chosen.attack, side)
    yield from perturbing.kept(path, resume, lambda before: train(ground, chosen, before))


def train(ground: Ground, chosen: Settings, before: Universal | None = None) -> Events:
    """As `universal`, of what is in memory; every epoch's end is an event."""
    victim = ground.victim
    wanted(victim)
    training = chosen.training(victim.spec.input_size)
    blank = training.blank(
        victim,
        attack=chosen.attack,
        label=ground.label,
        weights=ground.weights,
        settings={
            name: value
            for name, value in vars(chosen).items()
            if name not in ("eps", "kind", "attack")
        },
    )
    held, _ = perturbing.apart(ground.pixels)
    yield from perturbing.train(
        victim,
        chosen.recipe().build(victim.spec),
        training,
        ground.pixels,
        Cost.of(victim, held).of_pictures,
        blank,
        seed=chosen.seed,
        before=before,
    )


@dataclass(frozen=True)
class Cost:
    """What saved pictures cost, against clean ones in the same order: their mean MACs and answers.

    Of an ensemble, MACs of all members together, and all of them are to keep their answers.
    """

    victims: tuple[Victim, ...]
    clean: float
    answers: Tensor

    @staticmethod
    def of(victim: Victim, clean: Tensor) -> Cost:
        """Of 8-bit pictures (n, 3, y, x)."""
        module = victim.module
        victims = module.victims if isinstance(module, Mean) else (victim,)
        macs, _, answers = _seen(victims, clean)
        return Cost(victims, float(macs.mean()), answers)

    def of_pictures(self, saved: Tensor) -> Mapping[str, PerExample]:
        """Figures of each of n saved pictures.

        The mean of "gap closed", (macs - mean clean macs) / (dense - mean clean macs), is the
        paper's: a ratio of means.
        """
        macs, utilisation, answers = _seen(self.victims, saved)
        dense = sum(dense_macs(each) for each in self.victims)
        return {
            "GMACs": macs / 1e9,
            "utilisation": utilisation,
            "gap closed": (macs - self.clean) / (dense - self.clean),
            "answers kept": (answers == self.answers).all(0),
        }


def _seen(victims: Sequence[Victim], pixels: Tensor) -> tuple[PerExample, PerExample, Tensor]:
    """MACs and mean utilisation of n pictures, and every victim's answers (victims, n)."""
    found = [look(each, pixels) for each in victims]
    macs = torch.tensor([[each.macs for each in its] for its in found], dtype=torch.float64)
    used = torch.tensor([[each.utilisation for each in its] for its in found])
    answers = torch.tensor([[each.answer for each in its] for its in found])
    return macs.sum(0), used.mean(0), answers
