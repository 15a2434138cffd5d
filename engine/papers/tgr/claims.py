"""TGR's falsifiable claims C1 to C9 (spec 6.3), run on any source: measured, expected, and whether.

Success is the mean over targets of the share fooled, of the pictures each had right; every
comparison is between attacks on the same pictures, with a bootstrap interval over pictures and an
exact McNemar test. Claims speak of equal cost: every row states the gradients that the two sides
spend on a picture, counted while they run.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor, nn

from engine.attack.attack import Watch, craft
from engine.attack.recipe import Recipe
from engine.attack.recipes.att import ATT
from engine.attack.recipes.mifgsm import MIFGSM
from engine.attack.recipes.pna import PNA
from engine.attack.recipes.sgm import SGM
from engine.attack.recipes.tgr import TGR
from engine.attack.recipes.tgr_patchout import TGRPatchOut
from engine.attack.recipes.vmi import VMI
from engine.core.errors import BadTask
from engine.core.knobs import Knobbed, knob
from engine.core.streams import Streams
from engine.evaluate.claim import Row, verdict
from engine.evaluate.evaluate import folder_pictures
from engine.evaluate.interval import Estimate, bootstrap
from engine.evaluate.judge import shown
from engine.evaluate.jury import Jury, Rates
from engine.evaluate.progress import Progress
from engine.evaluate.transfer import (
    Experiment,
    Matrix,
    Picture,
    class_indices,
    pixels,
    transfer,
)
from engine.model import zoo
from engine.model.hooking import on_input
from engine.model.task import Task, task_for
from engine.model.victim import Victim
from engine.papers.paper import Photographs
from engine.probe import gradients

PICTURES_FOR_C7 = 64
MOST_STEPS = 200
WORDS = {
    "mifgsm": "MI-FGSM",
    "sgm": "SGM",
    "pna": "PNA",
    "att": "ATT",
    "vmi": "VMI",
    "tgr": "TGR",
    "tgr long": "TGR run longer",
    "attention": "attention",
    "qkv": "QKV",
    "mlp": "MLP",
    **{f"k={k}": f"k={k}" for k in (0, 2, 5, 10)},
    "zeroing": "zeroing",
    "tgr+patchout": "TGR + PatchOut",
}


@dataclass(frozen=True)
class Settings(Knobbed):
    """What can be set: the budget and the length of every attack."""

    eps: float = knob(
        16 / 255,
        "Largest change of any pixel; the paper uses 16/255.",
        label="Budget eps",
        low=1 / 255,
        high=32 / 255,
        unit="1/255",
    )
    steps: int = knob(10, "Number of gradient steps.", low=1, high=MOST_STEPS)


def claims(asked: Photographs, settings: Settings) -> Iterator[Progress | Row]:
    """Measure every claim for attacks made on a model; rows come when all pictures are done.

    Targets without attention count as CNNs (C2), the others as ViTs (C1). `keep`, torchrun and
    cancelling are as in `transfer`; process 0 alone yields rows.
    Raises BadTask where no target is another model, and what `transfer` raises.
    """
    load = partial(zoo.load, weights=asked.weights)
    source = asked.model
    victim = load(source)
    others = [name for name in dict.fromkeys(asked.targets) if name != source]
    if not others:
        raise BadTask("Transfer needs a target that is not the source.", "Name one as target.")
    pictures = folder_pictures(asked.folder, victim, asked.limit, asked.seed)
    study = recipes(settings.eps, settings.steps)
    experiment = Experiment(
        pictures, (source,), tuple(study.values()), (source, *others), asked.seed, asked.batch
    )
    for event in transfer(experiment, load, asked.keep):
        if isinstance(event, Progress):
            yield event
        else:
            cnns = tuple(name for name in others if not attends(load(name).module))
            vits = tuple(name for name in others if name not in cnns)
            cost = {each: gradients_spent(each, victim, pictures[0]) for each in study.values()}
            yield from verdicts(event, source, vits, cnns, study, cost)
            few = pictures[:PICTURES_FOR_C7]
            yield from calmness(victim, few, study, cost, seed=asked.seed, batch=asked.batch)


def recipes(eps: float, steps: int) -> dict[str, Recipe]:
    """Every attack the claims compare, at one budget."""
    tgr, vmi = partial(TGR, eps=eps, steps=steps), VMI(eps=eps, steps=steps)
    same_cost = min(MOST_STEPS, steps * (vmi.samples + 1))
    plain: tuple[type[Recipe], ...] = (MIFGSM, SGM, PNA, ATT)
    return {
        **{kind.name: kind(eps=eps, steps=steps) for kind in plain},
        "vmi": vmi,
        "tgr": tgr(),
        "tgr long": TGR(eps=eps, steps=same_cost),
        **{part: tgr(components=part) for part in ("attention", "qkv", "mlp")},
        **{f"k={k}": tgr(k=k) for k in (0, 2, 5, 10)},
        "zeroing": tgr(attention=1.0, qkv=1.0, mlp=1.0),
        "tgr+patchout": TGRPatchOut(eps=eps, steps=steps),
    }


def effort(settings: Settings) -> int:
    """About what all of them spend on a picture; C7 runs three of them again."""
    study = recipes(settings.eps, settings.steps)
    calm = 3 * settings.steps
    return calm + sum(_spent(each) for each in study.values())


def _spent(chosen: Recipe) -> int:
    return chosen.steps * (chosen.samples + 1 if isinstance(chosen, VMI) else 1)


def verdicts(
    matrix: Matrix,
    source: str,
    vits: tuple[str, ...],
    cnns: tuple[str, ...],
    study: Mapping[str, Recipe],
    cost: Mapping[Recipe, int],
) -> Iterator[Row]:
    """C1 to C6, C8 and C9 from the outcomes on every picture."""
    for claim, names, kind, paper in (("C1", vits, "ViT", 8.8), ("C2", cnns, "CNN", 6.2)):
        if names:
            against = _Against(matrix, source, names, study, cost)
            for better, worse in (("tgr", "pna"), ("pna", "mifgsm"), ("tgr", "sgm")):
                yield against.above(claim, better, worse, f"{kind} targets: ")
            yield against.above_best(
                claim, "tgr", ("mifgsm", "sgm", "pna"), f"{kind} targets: ", paper
            )
            yield against.above(claim, "tgr", "vmi", f"{kind} targets, unequal cost: ")
            yield against.above(claim, "tgr long", "vmi", f"{kind} targets, equal cost: ")
    yield white_box(matrix, source, study["tgr"], cost)
    against = _Against(matrix, source, (*vits, *cnns), study, cost)
    for part in ("attention", "qkv", "mlp"):
        yield against.above("C4", part, "mifgsm")
    yield against.above_best("C4", "tgr", ("attention", "qkv", "mlp"))
    yield against.above("C5", "tgr", "k=0")
    yield against.above("C5", "tgr", "k=10")
    yield against.interior("C5", ("tgr", "k=2", "k=5"), ("k=0", "k=10"))
    yield against.above("C6", "tgr", "k=0", "factors alone are weaker: ")
    yield against.above("C6", "tgr", "zeroing", "zeroing alone is weaker: ")
    yield against.above("C8", "tgr+patchout", "tgr")
    yield against.above("C9", "att", "tgr")


def white_box(matrix: Matrix, source: str, tgr: Recipe, cost: Mapping[Recipe, int]) -> Row:
    """C3: TGR fools its own source on at least 95 % of what it had right."""
    success = matrix.cell(source, tgr, source).success
    low, high = success.interval
    measured = Estimate(100 * success.value, 100 * low, 100 * high)
    return Row(
        "C3",
        "TGR on its own source",
        measured,
        "%",
        "at least 95 %",
        "holds" if low >= 0.95 else "fails" if high < 0.95 else "undecided",
        success.of,
        budget=str(cost[tgr]),
    )


@dataclass(frozen=True)
class _Against:
    """Comparisons of named attacks on one group of targets, as rows."""

    matrix: Matrix
    source: str
    targets: tuple[str, ...]
    study: Mapping[str, Recipe]
    cost: Mapping[Recipe, int]

    @cached_property
    def jury(self) -> Jury:
        return Jury(self.matrix, self.source, self.targets)

    def above(self, claim: str, better: str, worse: str, prefix: str = "") -> Row:
        one, other = self.study[better], self.study[worse]
        gain = self.jury.gain(one, other)
        statement = f"{prefix}{WORDS[better]} > {WORDS[worse]}"
        return self._row(
            claim, statement, gain, (better, worse), "above 0", self.jury.p(one, other)
        )

    def above_best(
        self, claim: str, better: str, rest: Sequence[str], prefix: str = "", paper: float = 0
    ) -> Row:
        """Against whichever of the rest is best, chosen anew on every resampled set."""
        lead, others = self._rates(better), [self._rates(name) for name in rest]
        gain = self.jury.estimate(
            lambda w: lead(w) - torch.stack([rates(w) for rates in others]).amax(0)
        )
        expected = f"above 0; the paper's mean is +{paper}" if paper else "above 0"
        statement = f"{prefix}{WORDS[better]} > best of {', '.join(WORDS[name] for name in rest)}"
        return self._row(claim, statement, gain, (better, *rest), expected)

    def interior(self, claim: str, inner: Sequence[str], ends: Sequence[str]) -> Row:
        """The best of the inner values against the better end."""
        inside, outside = ([self._rates(name) for name in names] for names in (inner, ends))
        gain = self.jury.estimate(
            lambda w: (
                torch.stack([rates(w) for rates in inside]).amax(0)
                - torch.stack([rates(w) for rates in outside]).amax(0)
            )
        )
        statement = "k has an inner optimum: best of k=1, 2, 5 > better of k=0, 10"
        return self._row(claim, statement, gain, (*inner, *ends), "above 0")

    def _rates(self, name: str) -> Rates:
        return self.jury.rates(self.study[name])

    def _row(
        self,
        claim: str,
        statement: str,
        gain: Estimate,
        names: Iterable[str],
        expected: str,
        p: float | None = None,
    ) -> Row:
        points = gain.times(100)
        spent = " : ".join(str(self.cost[self.study[name]]) for name in names)
        said = verdict(points, 0)
        return Row(claim, statement, points, "points", expected, said, self.jury.images, p, spent)


def calmness(
    victim: Victim,
    pictures: Sequence[Picture],
    study: Mapping[str, Recipe],
    cost: Mapping[Recipe, int],
    *,
    seed: int,
    batch: int,
) -> Iterator[Row]:
    """C7: gradients in the blocks are less dispersed than MI-FGSM's, in ways no factor can feign.

    Var(g) / mean|g|^2 and the kurtosis do not change when g is scaled (spec 1.7). Ratios to
    MI-FGSM's are taken per picture, step, block and component, wherever both gradients are not
    all zero, and averaged as logarithms.
    """
    task = _task(victim, pictures)
    read = {
        name: scale_free(victim, study[name], task, seed=seed, batch=batch)
        for name in ("mifgsm", "zeroing", "tgr")
    }
    for index, statistic in enumerate(("dispersion", "kurtosis")):
        for name, words in (("zeroing", "TGR without its factors"), ("tgr", "TGR")):
            gap = (read[name] - read["mifgsm"])[index].flatten(1)
            each = gap.masked_fill(~gap.isfinite(), torch.nan).nanmean(1)
            each = each[each.isfinite()]
            logs = bootstrap(partial(_mean, each), len(each))
            ratio = Estimate(math.exp(logs.value), math.exp(logs.low), math.exp(logs.high))
            yield Row(
                "C7",
                f"{statistic} of gradients, {words} / MI-FGSM",
                ratio,
                "ratio",
                "below 1",
                verdict(Estimate(-logs.value, -logs.high, -logs.low), 0),
                len(each),
                budget=f"{cost[study[name]]} : {cost[study['mifgsm']]}",
            )


def scale_free(victim: Victim, chosen: Recipe, task: Task, *, seed: int, batch: int) -> Tensor:
    """Logarithms of dispersion and kurtosis (2, n, steps, blocks, components), after the edits."""
    attack = chosen.build(victim.spec)
    watch = Watch(gradients=gradients.SITES)
    found: list[Tensor] = []
    for start in range(0, len(task.labels), batch):
        part = slice(start, start + batch)
        piece = Task(task.images[part], task.labels[part])
        streams = Streams(seed, tuple(range(start, start + len(piece.labels))))
        state = attack.init(victim, piece, streams)
        rows: list[Tensor] = []
        for _ in range(attack.steps):
            state, info = attack.step(victim, piece, state, streams, watch)
            if info.out is None:
                raise BadTask(f"{chosen.name} shows the model something else than the picture.")
            readings = [
                gradients.read(info.out, victim.spec.blocks, i) for i in range(len(piece.labels))
            ]
            rows.append(
                torch.stack([torch.stack((r.dispersion, r.kurtosis)) for r in readings], 1).log()
            )
        found.append(torch.stack(rows, 2).double())
    return torch.cat(found, 1)


def gradients_spent(chosen: Recipe, victim: Victim, picture: Picture) -> int:
    """Forward and backward passes that the attack spends on a picture, counted as it runs."""
    task, count = _task(victim, [picture]), 0

    def counted(x: Tensor) -> Tensor:
        nonlocal count
        count += x.shape[0] if x.requires_grad else 0
        return x

    with victim.lock, on_input(victim.module, counted):
        craft(chosen.build(victim.spec), victim, task, Streams(0))
    return count


def _task(victim: Victim, pictures: Sequence[Picture]) -> Task:
    images = shown(pixels(pictures, victim.spec.input_size), victim)
    return task_for(victim, images, class_indices(pictures, victim))


def attends(module: nn.Module) -> bool:
    """Whether a network has attention blocks: timm calls them `attn` in every family."""
    return any(
        name.rpartition(".")[2].startswith("attn") and not isinstance(part, nn.Identity)
        for name, part in module.named_modules()
    )


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    return (weights @ values) / weights.sum(1)
