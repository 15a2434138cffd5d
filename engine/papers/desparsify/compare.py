"""What an attack on one picture costs a model that puts tokens to sleep: one run, told as it grows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from PIL import Image
from torch import Tensor

from engine.alter.stack import altered
from engine.attack.attack import observe, run
from engine.attack.recipe import Recipe
from engine.attack.universal import Universal
from engine.core.shapes import Images
from engine.core.streams import Streams
from engine.data.decode import fit
from engine.evaluate.judge import shown
from engine.evaluate.noise import noisy
from engine.evaluate.progress import Progress
from engine.evaluate.timing import ROUNDS
from engine.model.victim import Forward, Victim
from engine.papers import report as papers
from engine.papers.desparsify.countermeasures import countermeasures
from engine.papers.desparsify.passes import (
    Pass,
    batch_macs,
    dense_macs,
    look,
    mechanism,
    passes,
    wanted,
    watch,
)
from engine.papers.report import Stopped, growing
from engine.studio import Subject

BATCHES = (1, 2, 4, 8)
CLEAN, NOISE, ATTACKED = "clean", "noise", "adversarial"
DENSE = "dense"


@dataclass(frozen=True)
class Asked:
    """One run: a picture (3, y, x) and other clean ones (n, 3, y, x), both 8 bits at the input size.

    The others are the attacked picture's batch-mates. `elsewhere` are other models that are shown
    the result, by their titles. Without an attack (a budget of 0) nothing is changed: the control.
    """

    picture: Tensor
    others: Tensor
    attack: Recipe | Universal | None
    elsewhere: Mapping[str, Victim] = field(default_factory=dict[str, Victim])
    rounds: int = ROUNDS
    seed: int = 0

    @staticmethod
    def of(
        victim: Victim,
        picture: Image.Image,
        others: Sequence[Image.Image],
        attack: Recipe | Universal | None,
    ) -> Asked:
        """For decoded pictures, fitted to the victim's input."""
        size = victim.spec.input_size
        clean = torch.stack([fit(each, size) for each in others])
        return Asked(fit(picture, size), clean, attack)


@dataclass(frozen=True)
class Working(papers.Working):
    """A step of the attack is done; `macs` is what its picture costs before rounding."""

    macs: int


@dataclass(frozen=True)
class Moment:
    """The attack's picture after a step, before rounding to 8 bits; step 0 is the clean one."""

    step: int
    seen: Pass


@dataclass(frozen=True)
class Elsewhere:
    """What the same saved pictures cost another model, and whether it keeps its clean answer."""

    model: str
    title: str
    mechanism: str
    clean: int
    noise: int
    attacked: int
    dense: int
    kept: bool


@dataclass(frozen=True)
class Batch:
    """MACs a picture of a batch padded to its largest member: all clean, and with the attacked one."""

    size: int
    clean: int
    attacked: int


@dataclass(frozen=True)
class Defended:
    """A countermeasure on this picture: MACs, and whether the clean (`answer`) and the attacked
    picture (`kept`) still get the undefended model's clean answer. The attack does not know of it."""

    name: str
    clean: int
    attacked: int
    answer: bool
    kept: bool


@dataclass(frozen=True)
class Report(papers.Timed):
    """What is known so far; parts that follow later are empty until then.

    sparse   blocks that decide something, counted from 0;  prefix, grid: where tokens are
    dense    MACs of a pass that spares nothing = embed + head + l block, the parts of `formula`;
             `deciders` come on top where deciding multiplies (AdaViT)
    seen, pixels   the saved 8-bit pictures, each alone;  path: the attack's steps
    times    of the path that really skips, batch of one; DENSE is the host without it
    """

    model: str
    classes: tuple[str, ...]
    mechanism: str
    sparse: tuple[int, ...]
    prefix: int
    grid: tuple[int, int]
    dense: int
    formula: Mapping[str, int]
    seen: Mapping[str, Pass]
    pixels: Mapping[str, Tensor]
    path: tuple[Moment, ...]
    elsewhere: tuple[Elsewhere, ...] = ()
    batch: tuple[Batch, ...] = ()
    defences: tuple[Defended, ...] = ()

    def gap(self, name: str) -> float:
        """(C - C_clean) / (C_dense - C_clean) of one of the pictures; nan where nothing is spared."""
        return self.closed(self.seen[name].macs)

    def closed(self, macs: int) -> float:
        """The same of any cost, as of a step on the way."""
        spared = self.dense - self.seen[CLEAN].macs
        return (macs - self.seen[CLEAN].macs) / spared if spared else math.nan


def report(
    victim: Victim, asked: Asked, stopped: Stopped = lambda: False
) -> Iterator[Progress | Working | Report]:
    """Attack the picture, then read what it does here and elsewhere, in a batch, defended, in time.

    Stopped, the attack ends there, its picture is still read, and what would follow is left out.
    Raises UnsupportedModel for a model without tokens to wake, and what the attack raises.
    """
    wanted(victim)
    subject = Subject(victim, asked.picture, seed=asked.seed)
    path = [Moment(0, look(victim, asked.picture[None])[0])]
    x, steps, total = subject.images, 0, 0
    if isinstance(asked.attack, Universal):
        x, steps, total = asked.attack.apply(x), 1, 1
    elif asked.attack is not None:
        attack = asked.attack.build(victim.spec)
        total = attack.steps
        for state, info in run(attack, victim, subject.task, subject.streams, watch(victim)):
            if info.step:  # the clean picture is there, wherever an attack begins
                path.append(_moment(victim, info.step, info.x, info.out))
            x, steps = state.x, state.step
            yield Working(steps, total, path[-1].seen.macs)
            if stopped():
                break
    if steps:
        path.append(_moment(victim, steps, x))
    yield Progress("counting", 0, 1)
    found = _read(victim, subject, asked, x, path)
    found = replace(found, steps=steps, asked=total)
    parts = (
        partial(_elsewhere, victim, asked),
        partial(_defended, victim),
        partial(_timed, victim, asked),
    )
    yield from growing(found, parts, stopped)


def _moment(victim: Victim, step: int, x: Images, out: Forward | None = None) -> Moment:
    """What the attack's picture does, from its own pass where it made one on that very picture."""
    own = out or observe(victim, x, watch(victim).values)
    return Moment(step, passes(victim, own)[0])


def _read(
    victim: Victim, subject: Subject, asked: Asked, x: Images, path: Sequence[Moment]
) -> Report:
    """All that follows from one pass of each saved picture."""
    saved = subject.saved(x, asked.attack.eps if asked.attack else 0.0)
    linf = int((saved.int() - asked.picture.int()).abs().max())
    noise = _control(asked, saved, linf)
    pixels = {CLEAN: asked.picture, NOISE: noise, ATTACKED: saved}
    seen = look(victim, torch.stack(list(pixels.values())))
    first = victim.spec.blocks[0]
    with torch.no_grad(), victim.session():
        trace = wanted(victim).trace(victim.normalised(subject.images))[1]
    layout, dense = trace.layout, dense_macs(victim)
    return Report(
        model=victim.spec.full,
        classes=victim.spec.classes,
        mechanism=mechanism(victim),
        sparse=trace.sparse,
        prefix=first.prefix,
        grid=first.grid,
        dense=dense,
        formula={
            "embed": layout.embed,
            "block": (dense - layout.embed - layout.head) // layout.depth,
            "head": layout.head,
            "deciders": trace.overhead,
        },
        seen=dict(zip(pixels, seen, strict=True)),
        pixels=pixels,
        path=tuple(path),
        linf=linf,
    )


def _control(asked: Asked, saved: Tensor, linf: int) -> Tensor:
    """Sign noise of the attack's size; of a patch, random colours where it lies."""
    if asked.attack is None or asked.attack.eps < 1:
        return noisy(asked.picture[None], linf / 255, asked.seed)[0]
    gen = Streams(asked.seed).at("noise")
    colours = torch.randint(0, 256, saved.shape, generator=gen, dtype=torch.uint8)
    return torch.where((saved != asked.picture).any(0), colours, asked.picture)


def _elsewhere(victim: Victim, asked: Asked, found: Report) -> Iterator[Progress | Report]:
    """The same pictures in other models, and among batch-mates in this one."""
    pixels = torch.stack([found.pixels[name] for name in (CLEAN, NOISE, ATTACKED)])
    rows: list[Elsewhere] = []
    for title, other in asked.elsewhere.items():
        yield Progress("other models", len(rows), len(asked.elsewhere))
        clean, noise, hit = look(other, pixels)
        costs = clean.macs, noise.macs, hit.macs, dense_macs(other)
        kept = hit.answer == clean.answer
        rows.append(Elsewhere(other.spec.full, title, mechanism(other), *costs, kept))
    sizes = [size for size in BATCHES if size - 1 <= len(asked.others)]

    def paid(name: str, size: int) -> int:
        mates = asked.others[: size - 1]
        return batch_macs(victim, torch.cat((found.pixels[name][None], mates)))

    batch = tuple(Batch(size, paid(CLEAN, size), paid(ATTACKED, size)) for size in sizes)
    yield replace(found, elsewhere=tuple(rows), batch=batch)


def _defended(victim: Victim, found: Report) -> Iterator[Progress | Report]:
    """Every countermeasure on the clean and on the attacked picture."""
    todo = countermeasures()
    pixels = torch.stack([found.pixels[name] for name in (CLEAN, ATTACKED)])
    answer = found.seen[CLEAN].answer
    made: list[Defended] = []
    for each in todo:
        yield Progress("countermeasures", len(made), len(todo))
        clean, hit = look(altered(victim, each.stack), pixels)
        kept = clean.answer == answer, hit.answer == answer
        made.append(Defended(each.name, clean.macs, hit.macs, *kept))
    yield replace(found, defences=tuple(made))


def _timed(victim: Victim, asked: Asked, found: Report) -> Iterator[Progress | Report]:
    """Passes of the path that really skips, picture by picture, and of the host that does not."""
    sparse = wanted(victim)
    ready = {
        name: victim.normalised(shown(pixels[None], victim))
        for name, pixels in found.pixels.items()
    }
    jobs = {DENSE: partial(_pass, sparse.backbone, ready[CLEAN])}
    jobs |= {name: partial(_pass, sparse.compact, x) for name, x in ready.items()}
    return found.timed(jobs, victim.device, asked.rounds)


def _pass(module: Callable[[Images], Tensor], images: Images) -> None:
    with torch.no_grad():
        module(images)
