"""Whether a model's softmax hides the gradient of one picture, and what scaling its scores brings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from PIL import Image
from torch import Tensor

from engine.alter.alteration import Alteration, Stack
from engine.alter.float64 import Float64
from engine.alter.scaled import Ascent, Scaled, ascend
from engine.alter.stack import altered, fitted
from engine.attack.attack import observe, run
from engine.attack.recipes.pgd import PGD
from engine.data.decode import fit
from engine.evaluate.judge import shown
from engine.evaluate.progress import Progress
from engine.model.sites import Site
from engine.model.victim import Victim
from engine.papers import report as papers
from engine.papers.aas.masking import Gaps, gaps, gradients, wanted
from engine.papers.aas.sentence import told, verdict
from engine.papers.aas.sources import saturation
from engine.papers.report import Stopped, growing
from engine.studio import Subject

CLEAN = "clean"
BASE, UNDONE, AAS, SHUFFLED = "base", "undone", "aas", "shuffled"
UNIFORM, FLOAT64 = "uniform", "float64"
TITLES = {
    BASE: "its own gradient",
    UNDONE: "scores times 1/c",
    AAS: "learned factors (AAS)",
    SHUFFLED: "the same factors, shuffled",
    UNIFORM: "one factor for all blocks",
    FLOAT64: "its own gradient in float64",
}
"""What a picture was crafted by, in the order in which they are tried."""
GRID = (0.1, 0.01, 0.001, 10.0)
"""Factors that are tried in turn as the one for all blocks, until one fools the model."""
AS_IT_IS, SCALED, WITHOUT = "as it is", "scaled", "without c"


@dataclass(frozen=True)
class Asked:
    """One run: a picture (3, y, x) of 8 bits at the input size, and the model's scores times c.

    eps in pixels of [0, 1]; `per` says whether AAS learns a factor for each block or each head;
    `label` is the true class, None the model's own answer without c.
    """

    picture: Tensor
    c: float = 1.0
    eps: float = 1 / 255
    steps: int = 20
    per: str = "block"
    label: int | None = None
    seed: int = 0

    @staticmethod
    def of(victim: Victim, picture: Image.Image) -> Asked:
        """For a decoded picture, fitted to the victim's input."""
        return Asked(fit(picture, victim.spec.input_size))

    @property
    def saturation(self) -> Stack:
        return saturation(self.c)

    @property
    def recipe(self) -> PGD:
        return PGD(eps=self.eps, steps=self.steps)

    @property
    def learned(self) -> Scaled:
        return Scaled(factors="learned", per=self.per)


@dataclass(frozen=True)
class Outcome:
    """What an attack crafted on a scaled model does to the model as it is (with its c, no factors).

    `answer` and `probability` (of the label) are of the saved 8-bit picture, `fooled` too;
    `fooled_scaled` is the same picture's on the model it was made on. `gradients` were spent until
    the model was fooled, or in vain; an ascent's own are counted. `factor` is the one for all blocks.
    """

    name: str
    title: str
    factor: float | None
    answer: int
    probability: float
    fooled: bool
    fooled_scaled: bool
    gradients: int


@dataclass(frozen=True, kw_only=True)
class Report(papers.Report):
    """What is known so far; outcomes, and the pictures and gaps that go with them, come one by one.

    heads    of each block;  answer, probability (of `label`), right: the clean picture's
    factors  (l,) or (l, h) that AAS learned on it;  path: (ascent + 1,) distances on the way
    norms    (l + 1,) of d CE / d scores by block, and last of d CE / d pixels, on the clean picture:
             as it is, scaled by those factors, as it is in float64, and of the model without c
    cosine   (l + 1,) of float32's gradient with float64's; nan where either is all zero
    aligned  (l + 1,) of the gradient with that of the model without c: 1 is the right direction
    """

    model: str
    classes: tuple[str, ...]
    label: int
    heads: tuple[int, ...]
    c: float
    eps: float
    answer: int
    probability: float
    right: bool
    factors: Tensor
    path: Tensor
    norms: Mapping[str, Tensor]
    cosine: Tensor
    aligned: Tensor
    gaps: Mapping[str, Gaps]
    pixels: Mapping[str, Tensor]
    linf: Mapping[str, int]
    outcomes: tuple[Outcome, ...] = ()

    @property
    def whole(self) -> bool:
        return self.steps == self.asked

    def outcome(self, name: str) -> Outcome | None:
        return next((each for each in self.outcomes if each.name == name), None)

    @property
    def sentence(self) -> str:
        """What this model shows on this picture, true or not."""
        return told(self)

    @property
    def verdict(self) -> str:
        """The same in a few words."""
        return verdict(self)


def report(
    victim: Victim, asked: Asked, stopped: Stopped = lambda: False
) -> Iterator[Progress | Report]:
    """What the softmax does on the clean picture, then one attack after the other.

    The first report attacks nothing. Each attack is PGD, crafted as `TITLES` says, shown to the model
    after every step as it would be saved, and ends when that fools it. Stopped, what would follow is
    left out. Raises UnsupportedModel for a model whose scores are not in the open.
    """
    wanted(victim)
    judge = altered(victim, asked.saturation)
    plain = Subject(victim, asked.picture, asked.label)
    subject = Subject(judge, asked.picture, plain.label, seed=asked.seed)
    yield Progress("learning factors", 0, 1)
    ascent = ascend(judge, subject.images, subject.streams, per=asked.per)
    scaled = replace(asked.learned, known=ascent.factors)(judge)
    first = _clean(victim, judge, scaled, subject, asked, ascent)
    tries = _tries(victim, scaled, subject, asked)
    parts = [partial(_attacked, judge, subject, asked, name, tries[name]) for name in tries]
    yield from growing(first, parts, stopped)


@dataclass(frozen=True)
class _Try:
    """A model to craft on, by the factor for all its blocks; `spent` are gradients that it took."""

    source: Callable[[], Victim]
    factor: float | None = None
    spent: int = 0


def _tries(
    victim: Victim, scaled: Victim, subject: Subject, asked: Asked
) -> Mapping[str, Sequence[_Try]]:
    """What each attack is crafted on; of several the first that fools the model is the one."""

    def on(*stack: Alteration) -> Victim:
        return fitted(victim, (*asked.saturation, *stack), subject.task, subject.streams)

    def by(factor: float) -> _Try:
        return _Try(lambda: on(Scaled(factors="uniform", factor=factor)), factor)

    shuffled = replace(asked.learned, factors="shuffled")
    ascent = asked.learned.steps
    tries = {
        BASE: [_Try(on)],
        UNDONE: [by(1 / asked.c)],
        AAS: [_Try(lambda: scaled, spent=ascent)],
        SHUFFLED: [_Try(lambda: on(shuffled), spent=ascent)],
        UNIFORM: [by(factor) for factor in GRID],
        FLOAT64: [_Try(lambda: on(Float64()))],
    }
    return {name: each for name, each in tries.items() if name != UNDONE or asked.c != 1}


def _clean(
    victim: Victim, judge: Victim, scaled: Victim, subject: Subject, asked: Asked, ascent: Ascent
) -> Report:
    """All that follows from the clean picture alone."""
    task = subject.task
    exact = altered(victim, (*asked.saturation, Float64()))
    here, other, without, double = (
        gradients(each, task.on(each).images, task.labels)
        for each in (judge, scaled, victim, exact)
    )
    said, label = here.probabilities, subject.label
    return Report(
        model=judge.spec.full,
        classes=victim.spec.classes,
        label=label,
        heads=tuple(each.heads for each in victim.spec.blocks),
        c=asked.c,
        eps=asked.eps,
        answer=int(said.argmax()),
        probability=float(said[label]),
        right=int(said.argmax()) == label,
        factors=ascent.factors[0].cpu(),
        path=ascent.distances[:, 0].cpu(),
        norms={
            AS_IT_IS: here.norms,
            SCALED: other.norms,
            FLOAT64: double.norms,
            WITHOUT: without.norms,
        },
        cosine=here.cosine(double),
        aligned=here.cosine(without),
        gaps={CLEAN: _gaps(judge, asked.picture)},
        pixels={CLEAN: asked.picture},
        linf={CLEAN: 0},
        asked=len(TITLES) - (asked.c == 1),
    )


def _gaps(judge: Victim, picture: Tensor) -> Gaps:
    return gaps(observe(judge, shown(picture[None], judge), {Site.SCORES}))


def _attacked(
    judge: Victim,
    subject: Subject,
    asked: Asked,
    name: str,
    tries: Sequence[_Try],
    found: Report,
) -> Iterator[Progress | Report]:
    """The report with one attack more, and the gaps on its picture."""
    spent = 0
    for index, each in enumerate(tries):
        source = each.source()
        attack, streams = asked.recipe.build(source.spec), subject.streams
        saved, logits = asked.picture, torch.empty(0)
        spent += each.spent
        for state, _ in run(attack, source, subject.task.on(source), streams):
            spent += 1
            saved = subject.saved(state.x, asked.eps)
            logits = _said(judge, saved)
            yield Progress(TITLES[name], index * asked.steps + state.step, len(tries) * asked.steps)
            if int(logits.argmax()) != subject.label:
                break
        fooled = int(logits.argmax()) != subject.label
        if fooled or index + 1 == len(tries):
            outcome = Outcome(
                name,
                TITLES[name],
                each.factor,
                int(logits.argmax()),
                float(logits.softmax(0)[subject.label]),
                fooled,
                int(_said(source, saved).argmax()) != subject.label,
                spent,
            )
            yield replace(
                found,
                steps=found.steps + 1,
                outcomes=(*found.outcomes, outcome),
                gaps={**found.gaps, name: _gaps(judge, saved)},
                pixels={**found.pixels, name: saved},
                linf={**found.linf, name: int((saved.int() - asked.picture.int()).abs().max())},
            )
            return


def _said(victim: Victim, picture: Tensor) -> Tensor:
    """Logits (k,) of a saved picture."""
    with torch.no_grad():
        return victim.logits(shown(picture[None], victim).to(victim.dtype))[0].cpu()
