"""Robust models judged: what training buys and costs, and every sign that a gradient is masked.

Each model is attacked with its own gradient by PGD, short and long, by long PGD crafted with scaled
attention as well, and by AutoAttack; with no gradient of its own by noise and by pictures made on
another model; and at a growing budget until nothing is left. A model resists only as much as the
strongest of these says. Signs of masking (Athalye et al., ICML 2018): what has no gradient does better
than what has it, more steps keep gaining, and a large budget does not bring accuracy to zero. The control
is a model of which the answer is known: it has them all.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.alter.alteration import Stack
from engine.alter.scaled import Scaled
from engine.attack.catalog import recipe
from engine.attack.recipe import Recipe
from engine.attack.recipes.pgd import PGD
from engine.core.knobs import Knobbed, knob
from engine.evaluate.claim import Row, Verdict, verdict
from engine.evaluate.evaluate import folder_pictures
from engine.evaluate.judge import predict
from engine.evaluate.noise import noisy
from engine.evaluate.progress import Progress
from engine.evaluate.robust import Iterates, Paired, Robust, paired, survivors
from engine.evaluate.transfer import class_indices, pixels
from engine.model.victim import Victim
from engine.papers.aas_at.contenders import Contender, contenders
from engine.papers.aas_at.findings import REACHED, Findings, Judged, Outcome, Point, bits
from engine.papers.aas_at.seeds import pooled
from engine.papers.paper import Photographs

CURVE = (0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0)
"""Budgets in 255ths."""
SCALED: Stack = (Scaled(),)
AUTO = ("autoattack_quick", "autoattack")


@dataclass(frozen=True)
class Settings(Knobbed):
    """What can be set: the budget, the attacks' length, the control."""

    eps: float = knob(
        4 / 255,
        "Largest change of any pixel; the bundled robust models were trained at 4/255.",
        label="Budget eps",
        low=1 / 255,
        high=32 / 255,
        unit="1/255",
    )
    short: int = knob(20, "Steps of the short PGD, and of the curve's.", low=1, high=200)
    long: int = knob(100, "Steps of the long PGD.", low=1, high=1000)
    auto: int = knob(
        0,
        "AutoAttack judges so many of the pictures; 0: none, it takes minutes each.",
        low=0,
        high=10000,
    )
    judge: str = knob(AUTO[0], "Which AutoAttack.", choices=AUTO)
    control: float = knob(
        30.0,
        "What the control's scores are multiplied by; 0 leaves the control out.",
        low=0,
        high=300,
    )


def claims(asked: Photographs, settings: Settings) -> Iterator[Progress | Row | Findings]:
    """All models on the same pictures, one after the other; rows, and last the findings."""
    models = contenders((asked.model, *asked.targets), settings.control, asked.weights)
    found: list[Judged] = []
    for model in models:
        bench = _Bench(model, _rival(model, models), asked, settings)
        found.append((yield from bench.judged()))
    done = Findings(255 * settings.eps, tuple(found))
    yield from rows(done)
    yield done


def _rival(model: Contender, models: Sequence[Contender]) -> Victim | None:
    """Who lends the pictures that know nothing of a model: a plain one, or to that a robust one."""
    want = "robust" if model.role == "plain" else "plain"
    spec = model.victim.spec
    fits = [
        each.victim
        for each in models
        if each.role == want
        and (each.victim.spec.classes, each.victim.spec.input_size)
        == (spec.classes, spec.input_size)
    ]
    return fits[0] if fits else None


class _Bench:
    """A model, its pictures, and every attack on it."""

    def __init__(
        self, model: Contender, rival: Victim | None, asked: Photographs, settings: Settings
    ) -> None:
        victim = model.victim
        pictures = folder_pictures(asked.folder, victim, asked.limit, asked.seed)
        self.model, self.rival, self.asked, self.set = model, rival, asked, settings
        self.pixels = pixels(pictures, victim.spec.input_size)
        self.labels = class_indices(pictures, victim)

    def judged(self) -> Generator[Progress, None, Judged]:
        """Every attack; returns the model's fate."""
        eps, short, long = self.set.eps, self.set.short, self.set.long
        right = self._right(self.pixels)
        noise = right & self._right(noisy(self.pixels, eps, self.asked.seed))
        found = [
            Outcome("clean", "unattacked", 0, bits(right)),
            Outcome("noise", "sign noise of the budget", 0, bits(noise)),
        ]
        first = yield from self._under("PGD", PGD(eps=eps, steps=short))
        found.append(Outcome("short", f"PGD-{short}", first.steps, bits(first.kept)))
        more = yield from self._under("long PGD", PGD(eps=eps, steps=long))
        found.append(Outcome("long", f"PGD-{long}", more.steps, bits(more.kept)))
        scaled = yield from self._under("AAS", PGD(eps=eps, steps=long), stack=SCALED)
        both = more & scaled
        found.append(Outcome("scaled", f"PGD-{long} and AAS", both.steps, bits(both.kept)))
        if self.rival is not None:
            lent = yield from self._under("borrowed", PGD(eps=eps, steps=short), self.rival)
            words = f"PGD-{short} made on {self.rival.spec.name}"
            found.append(Outcome("borrowed", words, lent.steps, bits(lent.kept)))
        if self.set.auto:
            judge = recipe(self.set.judge, eps=eps)
            few = slice(0, self.set.auto)
            last = yield from self._under("AutoAttack", judge, iterates="last", of=few)
            found.append(
                Outcome("auto", judge.title.partition(":")[0], last.steps, bits(last.kept))
            )
        curve = yield from self._curve(right, first.kept)
        of = self.model
        return Judged(of.name, of.title, of.role, tuple(found), curve)

    def _curve(self, right: Tensor, known: Tensor) -> Generator[Progress, None, tuple[Point, ...]]:
        """Accuracy at every budget: who stands is attacked at the next; `known` is of the budget set."""
        kept, points = right.clone(), list[Point]()
        for eps in CURVE:
            if eps == round(255 * self.set.eps, 6):
                kept &= known
            elif kept.any():
                whole = max(1.0, eps) / 255
                pace = 2.5 * eps / 255 / self.set.short
                chosen = PGD(eps=whole, steps=self.set.short, step_size=pace)
                rows = kept.nonzero()[:, 0]
                found = yield from self._under(f"{eps:g}/255", chosen, of=rows, eps=eps / 255)
                kept[rows] = found.kept
            points.append(Point(eps, bits(kept)))
        return tuple(points)

    def _under(
        self,
        words: str,
        chosen: Recipe,
        source: Victim | None = None,
        stack: Stack = (),
        iterates: Iterates = "all",
        of: slice | Tensor = slice(None),
        eps: float | None = None,
    ) -> Generator[Progress, None, Robust]:
        """An attack on some of the pictures, its progress named."""
        found: Robust | None = None
        for event in survivors(
            self.model.victim,
            chosen,
            self.pixels[of],
            self.labels[of],
            source=source,
            stack=stack,
            eps=eps,
            iterates=iterates,
            seed=self.asked.seed,
            batch=self.asked.batch,
            keep=self.asked.keep,
        ):
            if isinstance(event, Progress):
                yield Progress(f"{self.model.title}, {words}", event.done, event.total)
            else:
                found = event
        assert found is not None
        return found

    def _right(self, shown: Tensor) -> Tensor:
        return (
            torch.cat([predict(self.model.victim, some) for some in shown.split(32)]) == self.labels
        )


def rows(found: Findings) -> Iterator[Row]:
    """What follows, model by model."""
    for each in found.models:
        if each.role == "robust":
            yield from _bought(each, found.plain)
    for one, other in zip(found.robust, found.robust[1:], strict=False):
        yield _row(
            "R2", f"{other.title} > {one.title}", paired(other.kept("long"), one.kept("long")), 0
        )
        yield _smaller_gap(one, other)
    yield from pooled(found.robust)
    for each in found.models:
        yield from _signs(each)


def _bought(each: Judged, plain: Judged | None) -> Iterator[Row]:
    if plain:
        long = each.under("long")
        assert long is not None
        gain = paired(long.kept, plain.kept("long"))
        yield _row("R1", f"{each.title} > {plain.title} under {long.words}", gain, 0)
        cost = paired(plain.kept("clean"), each.kept("clean"))
        yield _row("R1", f"what {each.title} costs on untouched pictures", cost, None)


def _smaller_gap(one: Judged, other: Judged) -> Row:
    """D7: training with attention scaling closes the gap that attention scaling opens."""
    opened = [(e.kept("long") & ~e.kept("scaled")) for e in (one, other)]
    return _row("D7", f"AAS gains more on {one.title} than on {other.title}", paired(*opened), 0)


def _signs(each: Judged) -> Iterator[Row]:
    """Signs of masking; of the control it is known that it masks."""
    name = each.title
    more = paired(each.kept("short"), each.kept("long"))
    yield _row("M1", f"{name}: what more steps still gain", more, None)
    yield _row(
        "M2", f"{name}: what AAS gains", paired(each.kept("long"), each.kept("scaled")), None
    )
    if each.under("borrowed"):
        better = paired(each.kept("borrowed"), each.kept("short"))
        yield _row("M3", f"{name}: its own gradient does better than another model's", better, 0)
    noise = paired(each.kept("noise"), each.kept("short"))
    yield _row("M3", f"{name}: its own gradient does better than noise", noise, 0)
    if auto := each.under("auto"):
        few = len(auto.pictures)
        gap = paired(each.kept("scaled")[:few], auto.kept)
        yield _row("M4", f"{name}: what AutoAttack gains on the rest", gap, None)
    said: Verdict = "undecided"
    if each.reaches_zero is not None:
        said = "holds" if each.reaches_zero else "fails"
    of = len(each.curve[-1].pictures)
    statement = f"{name}: accuracy left at {each.curve[-1].eps:g}/255"
    yield Row("M5", statement, each.left, "%", f"below {REACHED:g} %", said, of)


def _row(claim: str, statement: str, found: Paired, bar: float | None) -> Row:
    expected = "reported" if bar is None else f"above {bar:g}"
    said = verdict(found.gap, bar)
    gap = found.gap
    return Row(claim, statement, gap, "points", expected, said, gap.pictures, found.p)
