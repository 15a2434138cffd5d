"""DeSparsify's falsifiable claims (spec 8.3), on any model that puts tokens to sleep.

Pictures are attacked, saved in 8 bits and shown to the model one by one; costs are counted. The
first pictures set the detector, all others are measured, and the side experiments take the first
`few` of those. Intervals are 95 % bootstraps over pictures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor

from engine.alter.ensemble import ensemble
from engine.alter.stack import altered
from engine.alter.topk import FixedRatio
from engine.attack.attack import Attack, observe
from engine.attack.best import Best
from engine.attack.chain import Chain
from engine.attack.constraint import LinfBall
from engine.attack.recipe import Recipe
from engine.attack.recipes.desparsify import DeSparsify
from engine.attack.recipes.pgd import PGD
from engine.attack.recipes.slowformer import SlowFormer
from engine.attack.recipes.sponge import Sponge
from engine.attack.universal import CLASS_UNIVERSAL, UNIVERSAL, shipped_for
from engine.core.errors import BadTask
from engine.core.knobs import Knobbed, knob
from engine.core.placement import describe
from engine.core.shapes import Images, Labels
from engine.core.streams import Streams
from engine.data.folder import batches, read_folder
from engine.evaluate.bench import interleaved, most_memory
from engine.evaluate.claim import Row, Unit, Verdict, verdict
from engine.evaluate.craft import Crafted, crafted
from engine.evaluate.interval import Estimate, Rate, bootstrap
from engine.evaluate.judge import predict, shown
from engine.evaluate.noise import noisy, signs
from engine.evaluate.progress import Progress
from engine.evaluate.universal import saved
from engine.model.sparse.cost import gain
from engine.model.victim import Victim
from engine.papers.desparsify import victims
from engine.papers.desparsify.countermeasures import BOUNDS, countermeasures, curve
from engine.papers.desparsify.findings import (
    About,
    Abroad,
    Bounded,
    Defended,
    Finding,
    Findings,
    Measured,
    Point,
)
from engine.papers.desparsify.passes import (
    DENSE,
    Pass,
    batch_macs,
    dense_macs,
    mechanism,
    normalised,
    passes,
    wanted,
    watch,
)
from engine.papers.desparsify.published import gap
from engine.papers.desparsify.sets import Crafter, Load
from engine.papers.detected import Detected
from engine.papers.paper import Photographs

LEAST = 8
CURVE = (0.5, 1, 2, 4, 8, 16)
"""Budgets of the curve, in 255ths."""
ASIDE_WORDS = {
    "noise": "sign noise",
    "pgd": "PGD",
    "sponge": "Sponge",
    SlowFormer.name: "a SlowFormer patch",
}
ADAPTIVE = (0.4, 0.6, 0.8)
"""Bounds that an attacker knows; all other bounds meet one who does not."""
ASLEEP = (
    "blocks that use no patch of any clean picture",
    "tokens, block by block, that sleep on every clean picture",
    "heads and sub-layers that are off on every clean picture",
)
BATCHES, GROUPS = (2, 8), 32

ATTACK = DeSparsify.name


@dataclass(frozen=True)
class Settings(Knobbed):
    """What can be set; `steps` are DeSparsify's."""

    eps: float = knob(
        16 / 255,
        "The published budget, of the side experiments.",
        label="Budget eps",
        low=1 / 255,
        high=32 / 255,
        unit="1/255",
    )
    budget: float = knob(
        16 / 255,
        "The budget of the aim, at which all pictures are attacked.",
        low=1 / 255,
        high=32 / 255,
        unit="1/255",
    )
    aim: float = knob(
        0.5, "Share of the dense gap that is to be closed at that budget.", low=0, high=1
    )
    steps: int = knob(100, "Steps of DeSparsify at that budget.", low=1, high=1000)
    few: int = knob(24, "Pictures of the side experiments.", low=LEAST, high=4096)
    side_steps: int = knob(40, "Steps of DeSparsify there.", low=1, high=1000)
    other_steps: int = knob(
        20, "Steps there of attacks that aim at something else.", low=1, high=1000
    )
    calibration: int = knob(32, "Pictures set apart, a third at most.", low=1, high=4096)
    rounds: int = knob(30, "How often each time is taken.", low=1, high=1000)


def claims(asked: Photographs, settings: Settings) -> Iterator[Progress | Row | Findings]:
    """Measure every claim on a model and a folder of pictures; a dense model is run by ATS."""
    victim = victims.victim(asked.model, asked.weights)
    items = read_folder(asked.folder, victim.spec.classes, limit=asked.limit, seed=asked.seed)
    (found,) = batches(items, victim.spec.input_size, 1.0, len(items))
    relatives = victims.relatives(asked.model, asked.weights)
    craft = Crafter(asked.batch, asked.seed, asked.keep)
    yield from measure(victim, found.images, found.labels, settings, relatives, craft)


def measure(
    victim: Victim,
    pixels: Tensor,
    labels: Labels,
    settings: Settings,
    relatives: Mapping[str, Victim],
    craft: Crafter,
) -> Iterator[Progress | Row | Findings]:
    """As `claims`, for 8-bit pictures (n, 3, y, x) in memory; the findings come last.

    `relatives` are other models of the same host by titles, the dense host among them. Raises
    BadTask where n is too small, UnsupportedModel for a model without tokens to wake.
    """
    found: list[Finding] = []
    for each in _measured(victim, pixels, labels, settings, relatives, craft):
        if isinstance(each, Progress | Row):
            yield each
        else:
            found.append(each)
    yield Findings.of(found)


def _measured(
    victim: Victim,
    pixels: Tensor,
    labels: Labels,
    settings: Settings,
    relatives: Mapping[str, Victim],
    craft: Crafter,
) -> Iterator[Progress | Row | Finding]:
    wanted(victim)
    apart = min(settings.calibration, len(pixels) // 3)
    if apart < LEAST // 2 or len(pixels) - apart < LEAST:
        raise BadTask(f"{len(pixels)} pictures are too few.", f"Give at least {2 * LEAST}.")
    known, pixels, labels = pixels[:apart], pixels[apart:], labels[apart:]
    few = min(settings.few, len(pixels))
    yield Progress("clean pictures", 0, 1)
    clean = Load.of(victim, pixels)
    main, hard = pixels, pixels[:few]
    whole = DeSparsify(eps=settings.budget, steps=settings.steps)
    for each in craft(ATTACK, whole, victim, pixels, labels):
        if isinstance(each, Progress):
            yield each
        else:
            main = each
    for each in craft(ATTACK, _side(settings, settings.eps), victim, pixels[:few], labels[:few]):
        if isinstance(each, Progress):
            yield each
        else:
            hard = each
    loads = Load.of(victim, main), Load.of(victim, hard)
    found = Evidence(
        victim, relatives, settings, craft, known, pixels, labels, clean, main, hard, *loads
    )
    for part in (
        found.about,
        found.closed,
        found.aside,
        found.asleep,
        found.budgets,
        found.for_any_picture,
        found.together,
        found.elsewhere,
        found.defended,
        found.bounded,
        found.told_apart,
        found.easy_and_hard,
        found.timed,
        found.in_a_batch,
    ):
        yield from part()


def _side(settings: Settings, eps: float) -> DeSparsify:
    """The attack of the side experiments."""
    return DeSparsify(eps=eps, steps=settings.side_steps)


@dataclass(frozen=True)
class Evidence:
    """Pictures of one model, clean and attacked; each method yields a claim's rows and findings.

    `main` are all pictures at the budget of the aim, `hard` the first few at the published one.
    """

    victim: Victim
    relatives: Mapping[str, Victim]
    settings: Settings
    craft: Crafter
    known: Tensor
    pixels: Tensor
    labels: Labels
    clean: Load
    main: Tensor
    hard: Tensor
    main_load: Load
    hard_load: Load

    @property
    def n(self) -> int:
        return len(self.labels)

    @property
    def few(self) -> int:
        return len(self.hard)

    @property
    def dense(self) -> int:
        return dense_macs(self.victim)

    @property
    def kind(self) -> str:
        return mechanism(self.victim)

    @property
    def host(self) -> Victim | None:
        """The dense model that the victim skips parts of, where it is known."""
        return next((v for v in self.relatives.values() if mechanism(v) == DENSE), None)

    def about(self) -> Iterator[Finding]:
        """What all of this was measured on, and the clean pictures."""
        chosen = self.settings
        right = self._rate(self.clean.answers == self.labels)
        answers = self.clean.answers
        if self.host is not None:
            answers = torch.cat([predict(self.host, each) for each in self.pixels.split(32)])
        yield About(
            self.victim.spec.full,
            self.kind,
            self.n,
            self.few,
            len(self.known),
            chosen.eps,
            chosen.budget,
            chosen.steps,
            chosen.side_steps,
            describe(self.victim.device),
            self.dense / 1e9,
            right,
            self._rate(answers == self.labels),
        )
        yield self._measured("clean", 0.0, self.clean)

    def closed(self) -> Iterator[Row | Finding]:
        """(b): the share of the dense gap that is closed, and the answers that stay."""
        at, aim = _words(self.settings.budget), self.settings.aim
        yield self._measured("at the aim's budget", self.settings.budget, self.main_load)
        yield self._measured(ATTACK, self.settings.eps, self.hard_load)
        closed = self._gap(self.main_load.macs)
        yield self._row("b", f"gap closed at {at}", closed, "%", self.n, above=100 * aim)
        each = self._gap_of_each(self.main_load)
        yield self._row("b", f"gap closed at {at}, mean over pictures", each, "%", self.n)
        kept = self._rate(self.main_load.answers == self.clean.answers)
        yield self._row("b", f"answers kept at {at}", kept, "%", self.n, above=97)
        words = f"{_words(self.settings.eps)}, the first pictures"
        hard, first = self._gap(self.hard_load.macs), self.clean.answers[: self.few]
        yield self._row("b", f"gap closed at {words}", hard, "%", self.few, paper=ATTACK)
        kept = self._rate(self.hard_load.answers == first)
        yield self._row("b", f"answers kept at {words}", kept, "%", self.few, above=95)
        for name, load in (("clean", self.clean), (f"attacked at {at}", self.main_load)):
            right = self._rate(load.answers == self.labels)
            yield self._row("b", f"right answers, {name}", right, "%", self.n)
            yield self._row("b", f"cost, {name}", self._mean(load.macs / 1e9), "GMACs", self.n)
            used = self._mean(load.utilisation * 100)
            yield self._row("b", f"tokens used, {name}", used, "%", self.n)

    def aside(self) -> Iterator[Progress | Row | Finding]:
        """(a): noise and attacks that aim at something else; (g): without the class term."""
        eps, pixels, labels = self.settings.eps, self.pixels[: self.few], self.labels[: self.few]
        sets = {"noise": noisy(pixels, eps, self.craft.seed)}
        todo: dict[str, Recipe] = {
            "pgd": PGD(eps=eps, steps=self.settings.other_steps),
            "sponge": Sponge(eps=eps, steps=self.settings.other_steps),
            SlowFormer.name: SlowFormer(steps=self.settings.other_steps),
            "no class term": replace(_side(self.settings, eps), lam=0.0),
        }
        for name, recipe in todo.items():
            for each in self.craft(name, recipe, self.victim, pixels, labels):
                if isinstance(each, Progress):
                    yield each
                else:
                    sets[name] = each
        loads = {name: Load.of(self.victim, each) for name, each in sets.items()}
        for name, load in loads.items():
            yield self._measured(name, 1.0 if name == SlowFormer.name else eps, load)
        for name, words in ASIDE_WORDS.items():
            at = words if name == SlowFormer.name else f"{words} at {_words(eps)}"
            gap = self._gap(loads[name].macs)
            limits = {"noise": (-5.0, 5.0), "pgd": (None, 20.0)}.get(name, (None, None))
            yield self._row(
                "a", f"gap closed by {at}", gap, "%", self.few, limits[0], limits[1], paper=name
            )
            right = self._rate(loads[name].answers == labels)
            yield self._row("a", f"right answers under {at}", right, "%", self.few)
        free, clean = loads["no class term"], self.clean.answers[: self.few]
        kept = [(each.answers == clean).double() * 100 for each in (self.hard_load, free)]
        fewer = Rate.change(self._mean(kept[0] - kept[1]), self.few)
        yield self._row(
            "g", "answers kept, with minus without class term", fewer, "points", self.few, above=0
        )
        more = self._gap_between(free, self.hard_load)
        yield self._row("g", "gap closed, without minus with class term", more, "points", self.few)

    def asleep(self) -> Iterator[Row]:
        """(c): what sleeps on every clean picture, which the paper's AdaViT cannot wake."""
        clean, hit = self.clean.decisions, self.hard_load.decisions
        first, dead = self.clean.passes[0], ~clean.any(0)
        slots = first.keep.numel()
        tokens = dead[:slots].view_as(first.keep)
        patches = tokens[:, self.victim.spec.blocks[0].prefix :]
        found = {
            ASLEEP[0]: (float(patches.all(1).sum()), "count"),
            ASLEEP[1]: (100 * float(tokens.double().mean()), "%"),
            ASLEEP[2]: (100 * float(dead[slots:].double().mean()), "%"),
        }
        for words, (value, unit) in found.items():
            if not math.isnan(value):  # only AdaViT decides about heads and sub-layers
                alike = Estimate(value, value, value)
                yield self._row("c", words, alike, cast(Unit, unit), self.n)
        if dead.any():
            woken = self._mean(100 * hit[:, dead].double().mean(1))
            at = _words(self.settings.eps)
            yield self._row("c", f"of those, woken at {at}", woken, "%", self.few)

    def budgets(self) -> Iterator[Progress | Row | Finding]:
        """(d): the gap grows with the budget."""
        pixels, labels = self.pixels[: self.few], self.labels[: self.few]
        loads: dict[float, Load] = {}
        for step in CURVE:
            eps = step / 255
            noise: Load | None = None
            if step < 1:
                for each in self._unrounded(eps):
                    if isinstance(each, Progress):
                        yield each
                    else:
                        loads[step], noise = each
            elif abs(eps - self.settings.eps) < 1e-9:
                loads[step] = self.hard_load
            else:
                attack = _side(self.settings, eps)
                for each in self.craft(_words(eps), attack, self.victim, pixels, labels):
                    if isinstance(each, Progress):
                        yield each
                    else:
                        loads[step] = Load.of(self.victim, each)
            noise = noise or Load.of(self.victim, noisy(pixels, eps, self.craft.seed))
            kept = self._rate(loads[step].answers == self.clean.answers[: self.few])
            yield Point(eps, self._gap(loads[step].macs), self._gap(noise.macs), kept)
        for low, high in pairwise(CURVE):
            rise = self._gap_between(loads[high], loads[low])
            words = f"gap closed at {high:g}/255 minus at {low:g}/255"
            yield self._row("d", words, rise, "points", self.few, above=0)

    def _unrounded(self, eps: float) -> Iterator[Progress | tuple[Load, Load]]:
        """The first pictures under a budget that 8 bits cannot hold, attacked and under noise."""
        recipe = replace(
            _side(self.settings, 1 / 255),
            step_size=max(eps / 10, 2.5 * eps / self.settings.side_steps),
        )
        attack = _within(recipe.build(self.victim.spec), eps)
        pixels, labels = self.pixels[: self.few], self.labels[: self.few]
        hit, noise = list[Pass](), list[Pass]()
        for first in range(0, self.few, self.craft.batch):
            some = slice(first, first + self.craft.batch)
            last: Crafted | None = None
            for last in crafted(
                attack,
                self.victim,
                pixels[some],
                labels[some],
                eps=eps,
                seed=self.craft.seed,
                first=first,
            ):
                yield Progress(
                    _words(eps),
                    first * attack.steps + last.steps * len(last.x),
                    self.few * attack.steps,
                )
            assert last is not None  # an attack has a step
            around = signs(last.clean.shape, Streams(self.craft.seed)).to(last.clean)
            for into, x in ((hit, last.x), (noise, (last.clean + eps * around).clamp(0, 1))):
                out = observe(self.victim, x, watch(self.victim).values)
                into += passes(self.victim, out)
        yield Load(tuple(hit)), Load(tuple(noise))

    def for_any_picture(self) -> Iterator[Row | Finding]:
        """(d): what ships for any picture of the model, on pictures that its training never saw."""
        made = {each.kind: each for each in shipped_for(self.victim.spec.full, ATTACK)}
        loads: dict[str, Load] = {}
        for kind, each in made.items():
            loads[kind] = Load.of(self.victim, saved(each, self.pixels, self.victim))
            rows = self._of_class(each.label) if each.label else torch.arange(self.n)
            load, clean = loads[kind].rows(rows), self.clean.rows(rows)
            yield self._measured(each.title, each.eps, load, clean, self.labels[rows])
            gap, kept = self._gap(load.macs, clean.macs), self._rate(load.answers == clean.answers)
            on = ", on its class" if each.label else ""
            yield self._row(
                "d", f"gap closed by the {kind} one{on}", gap, "%", len(rows), paper=kind
            )
            yield self._row("d", f"answers kept under the {kind} one{on}", kept, "%", len(rows))
        if UNIVERSAL in made:
            less = self._gap_between(self.hard_load, Load(loads[UNIVERSAL].passes[: self.few]))
            yield self._row(
                "d", "gap closed, single picture minus universal", less, "points", self.few, above=0
            )
        if UNIVERSAL in made and CLASS_UNIVERSAL in made:
            rows = self._of_class(made[CLASS_UNIVERSAL].label)
            own, any_ = (loads[kind].rows(rows) for kind in (CLASS_UNIVERSAL, UNIVERSAL))
            less = self._gap_between(own, any_, self.clean.rows(rows))
            words = "gap closed, class-universal minus universal, on that class"
            yield self._row("d", words, less, "points", len(rows), above=0)

    def together(self) -> Iterator[Progress | Row | Finding]:
        """(e): one perturbation against all mechanisms at once, against the specialist's."""
        others = [each for each in self.relatives.values() if mechanism(each) != DENSE]
        if not others:
            return
        pixels, labels = self.pixels[: self.few], self.labels[: self.few]
        attack = _side(self.settings, self.settings.eps)
        for each in self.craft(
            "ensemble", attack, ensemble([self.victim, *others]), pixels, labels
        ):
            if isinstance(each, Progress):
                yield each
                continue
            load = Load.of(self.victim, each)
            yield self._measured("ensemble", self.settings.eps, load)
            gap, less = self._gap(load.macs), self._gap_between(load, self.hard_load)
            words = f"gap closed by the ensemble of mechanisms at {_words(self.settings.eps)}"
            yield self._row("e", words, gap, "%", self.few, above=0, paper="ensemble")
            yield self._row(
                "e", "gap closed, ensemble minus specialist", less, "points", self.few, below=0
            )

    def elsewhere(self) -> Iterator[Row | Finding]:
        """(f): the same pictures in other mechanisms, in the dense host, and at a fixed ratio."""
        pixels = self.pixels[: self.few]
        for title, other in self.relatives.items():
            clean, hit = (Load.of(other, each) for each in (pixels, self.hard))
            kept = self._rate(hit.answers == clean.answers)
            if mechanism(other) == DENSE:
                yield self._unmoved("the dense model", clean, hit)
                gap = Estimate(0.0, 0.0, 0.0)
            else:
                gap = self._gap(hit.macs, clean.macs, dense_macs(other))
                yield self._row("f", f"gap closed in {title}", gap, "%", self.few)
                own = self._gap(self.hard_load.macs)
                least = Estimate(own.value - gap.value, own.low - gap.high, own.high - gap.low)
                yield self._row(
                    "f", f"gap closed here minus in {title}", least, "points", self.few, above=0
                )
            yield Abroad(other.spec.full, title, mechanism(other), gap, kept)
        if self.host is not None:
            fixed = FixedRatio()(self.host)
            yield self._unmoved(
                "a fixed ratio", *(Load.of(fixed, each) for each in (pixels, self.hard))
            )

    def _unmoved(self, words: str, clean: Load, hit: Load) -> Row:
        """A cost that no picture can move, in GMACs."""
        moved = float((hit.macs - clean.macs).abs().max()) / 1e9
        said: Verdict = "holds" if moved == 0 else "fails"
        return Row(
            "f",
            f"change of cost in {words}",
            Estimate(moved, moved, moved),
            "GMACs",
            "0",
            said,
            self.few,
        )

    def defended(self) -> Iterator[Progress | Row | Finding]:
        """(h): bounds on tokens calibrated on clean pictures."""
        todo = countermeasures()
        for done, each in enumerate(todo):
            yield Progress("countermeasures", done, len(todo))
            held = altered(self.victim, each.stack)
            clean, hit = (Load.of(held, x) for x in (self.pixels, self.main))
            left, price = self._gap(hit.macs), self._price(clean.answers)
            kept = self._rate(hit.answers == self.clean.answers)
            before, after = (self._mean(load.macs / 1e9) for load in (clean, hit))
            yield Defended(each.name, left, before, after, price, kept)
            mean = done < 2  # the paper's two are bounds at the mean
            yield self._row(
                "h", f"{each.name}: gap closed", left, "%", self.n, below=5 if mean else None
            )
            yield self._row(
                "h",
                f"{each.name}: right answers, clean",
                price,
                "points",
                self.n,
                above=-1.5 if mean else None,
            )
            yield self._row("h", f"{each.name}: answers kept under attack", kept, "%", self.n)

    def bounded(self) -> Iterator[Progress | Row | Finding]:
        """(h): the curve over bounds, and the attacker who knows them."""
        pixels, labels = self.pixels[: self.few], self.labels[: self.few]
        attack = _side(self.settings, self.settings.eps)

        def anew(held: Victim) -> Tensor:
            *_, last = self.craft("adaptive", attack, held, pixels, labels)
            assert isinstance(last, Tensor)
            return last

        most = 0.0
        for bound in BOUNDS:
            craft = anew if bound in ADAPTIVE else None
            for each in curve(self.victim, self.pixels, self.hard, craft, (bound,)):
                if isinstance(each, Progress):
                    yield Progress("bounds", BOUNDS.index(bound), len(BOUNDS))
                    continue
                clean, blind, adaptive = each.clean, each.blind, each.adaptive
                first = self.clean.answers[: self.few]
                most = max(
                    most,
                    *(float(x.macs.max()) / each.ceiling for x in (clean, blind, adaptive) if x),
                )
                yield Bounded(
                    bound,
                    each.ceiling / 1e9,
                    self._mean(clean.macs / 1e9),
                    self._mean(blind.macs / 1e9),
                    self._mean(adaptive.macs / 1e9) if adaptive else None,
                    self._price(clean.answers),
                    self._rate(clean.answers == self.clean.answers),
                    self._rate(blind.answers == first),
                    self._rate(adaptive.answers == first) if adaptive else None,
                )
                if adaptive:
                    for words, load in (("does not know", blind), ("knows", adaptive)):
                        gap = self._gap(load.macs)
                        yield self._row(
                            "h",
                            f"bound of {bound:.0%}, attacker {words} of it: gap closed",
                            gap,
                            "%",
                            self.few,
                        )
        said: Verdict = "holds" if most <= 1 else "fails"
        top = Estimate(100 * most, 100 * most, 100 * most)
        yield Row(
            "h",
            "dearest picture of all, of what its bound allows",
            top,
            "%",
            "at most 100",
            said,
            self.n,
        )

    def told_apart(self) -> Iterator[Row | Finding]:
        """(h): the detector by cost."""
        quiet = Load.of(self.victim, self.known).macs
        found = Detected.by(quiet, self.clean.macs, self.main_load.macs)
        yield self._row(
            "h", "detector by cost: area under its ROC curve", found.area, "area", self.n, above=0.5
        )
        words = f"detector calibrated at {found.alarm:.0%} false alarms: attacks caught"
        yield self._row("h", words, found.caught, "%", self.n)
        yield self._row(
            "h", "the same detector: clean pictures flagged", found.flagged, "%", self.n
        )
        yield found

    def easy_and_hard(self) -> Iterator[Row]:
        """(i): pictures that cost little gain more than those that cost much."""
        order = self.clean.macs.argsort(stable=True)
        third = max(1, self.n // 3)
        gained = (self.main_load.macs - self.clean.macs) / 1e9
        parts = [
            torch.zeros(self.n, dtype=torch.float64).index_fill(0, rows, 1)
            for rows in (order[:third], order[-third:])
        ]

        def apart(weights: Tensor) -> Tensor:
            means = [((weights * part) @ gained) / (weights @ part) for part in parts]
            return means[0] - means[1]

        more = bootstrap(apart, self.n)
        words = f"cost gained at {_words(self.settings.budget)}, easiest third minus hardest"
        yield self._row("i", words, more, "GMACs", self.n, above=0)

    def timed(self) -> Iterator[Row]:
        """(j): time of the path that really skips, picture by picture, and of the host."""
        sparse, where = wanted(self.victim), self.victim.device
        ready = {
            name: normalised(self.victim, shown(pixels[:LEAST], self.victim)).split(1)
            for name, pixels in (("clean", self.pixels), ("attacked", self.hard))
        }
        jobs = {name: partial(_one_by_one, sparse.compact, x) for name, x in ready.items()}
        jobs[DENSE] = partial(_one_by_one, sparse.backbone, ready["clean"])
        took = interleaved(jobs, self.settings.rounds, where)
        at = f"batch 1, eager float32, {describe(where)}"
        for one, other, words in (
            ("attacked", "clean", "time, attacked / clean"),
            ("clean", DENSE, "time, clean / dense"),
            ("attacked", DENSE, "time, attacked / dense"),
        ):
            value = took[one] / took[other]
            yield self._row("j", f"{words} ({at})", Estimate(value, value, value), "ratio", LEAST)
        if where.type == "cuda":
            most = {name: most_memory(job, where) for name, job in jobs.items()}
            value = most["attacked"] / most["clean"]
            yield self._row(
                "j",
                f"peak memory, attacked / clean ({at})",
                Estimate(value, value, value),
                "ratio",
                LEAST,
            )

    def in_a_batch(self) -> Iterator[Row]:
        """(j): what one attacked picture makes a padded batch pay."""
        for size in (size for size in BATCHES if size <= self.few):
            gen = Streams(self.craft.seed).at("batches", size)
            ratios: list[float] = []
            for _ in range(GROUPS):
                rows = torch.randperm(self.few, generator=gen)[:size]
                mates = self.pixels[rows]
                with_one = torch.cat((self.hard[rows[:1]], mates[1:]))
                ratios.append(batch_macs(self.victim, with_one) / batch_macs(self.victim, mates))
            measured = self._mean(torch.tensor(ratios, dtype=torch.float64))
            words = f"cost of a padded batch of {size}, one attacked / all clean"
            yield self._row("j", words, measured, "ratio", GROUPS, above=1)

    def _of_class(self, label: str) -> Tensor:
        return (self.labels == self.victim.spec.classes.index(label)).nonzero()[:, 0]

    def _price(self, answers: Tensor) -> Rate:
        """Change of accuracy on clean pictures, in points."""
        before, after = ((x == self.labels).double() * 100 for x in (self.clean.answers, answers))
        return Rate.change(self._mean(after - before), self.n)

    def _measured(
        self,
        name: str,
        eps: float,
        load: Load,
        clean: Load | None = None,
        labels: Tensor | None = None,
    ) -> Measured:
        """Of the first pictures, or of those that `clean` and `labels` are."""
        n = len(load.macs)
        clean, labels = clean or self.clean, self.labels[:n] if labels is None else labels
        return Measured(
            name,
            eps,
            n,
            self._mean(load.macs / 1e9),
            self._mean(load.utilisation * 100),
            self._gap(load.macs, clean.macs),
            self._gap_of_each(load, clean),
            self._rate(load.answers == clean.answers[:n]),
            self._rate(load.answers == labels),
        )

    def _gap(self, macs: Tensor, clean: Tensor | None = None, dense: int | None = None) -> Estimate:
        """(mean C - mean C_clean) / (C_dense - mean C_clean) in %, of the first pictures."""
        after = macs.double()
        before = (self.clean.macs if clean is None else clean)[: len(after)]
        spared = (dense or self.dense) - before
        return bootstrap(lambda w: 100 * (w @ (after - before)) / (w @ spared), len(after))

    def _gap_of_each(self, load: Load, clean: Load | None = None) -> Estimate:
        """The mean of the pictures' own ratios, in %; pictures of which nothing is spared are left out."""
        before = (clean or self.clean).macs[: len(load.macs)]
        own = 100 * gain(load.macs, before, self.dense)
        return self._mean(own[own.isfinite()])

    def _gap_between(self, one: Load, other: Load, clean: Load | None = None) -> Estimate:
        """The difference of two gaps on the same pictures, in points."""
        n = len(one.macs)
        moved = one.macs - other.macs[:n]
        spared = self.dense - (clean or self.clean).macs[:n]
        return bootstrap(lambda w: 100 * (w @ moved) / (w @ spared), n)

    def _mean(self, values: Tensor) -> Estimate:
        return bootstrap(lambda w: (w @ values.double()) / w.sum(1), len(values))

    def _rate(self, true: Tensor) -> Rate:
        """Of pictures, in %."""
        return Rate.of(self._mean(true.double() * 100), len(true))

    def _row(
        self,
        claim: str,
        statement: str,
        measured: Estimate,
        unit: Unit,
        pictures: int,
        above: float | None = None,
        below: float | None = None,
        paper: str = "",
    ) -> Row:
        """`paper` names what the paper's Table 1 has of this mechanism, to stand beside the bar."""
        bars = [
            f"{word} {bar:g}"
            for word, bar in (("above", above), ("below", below))
            if bar is not None
        ]
        printed = gap(self.kind, paper)
        plain = Estimate(measured.value, measured.low, measured.high)
        expected = " and ".join(bars)
        if printed is not None:
            expected = f"{expected}; paper {100 * printed:.0f} %".removeprefix("; ")
        return Row(claim, statement, plain, unit, expected, _said(measured, above, below), pictures)


def _said(measured: Estimate, above: float | None, below: float | None) -> Verdict:
    """Of two bars the worse verdict."""
    turned = Estimate(-measured.value, -measured.high, -measured.low)
    both = verdict(measured, above), verdict(turned, None if below is None else -below)
    order: tuple[Verdict, ...] = ("fails", "undecided", "holds", "reported")
    return next(each for each in order if each in both)


def _within(attack: Attack, eps: float) -> Attack:
    """The same attack in another ball."""
    if isinstance(attack, Best):
        return replace(attack, attack=_within(attack.attack, eps))
    assert isinstance(attack, Chain)  # DeSparsify's are one of these
    return replace(attack, constraint=LinfBall(eps))


def _words(eps: float) -> str:
    return f"{255 * eps:g}/255"


def _one_by_one(module: Callable[[Images], Tensor], pictures: Sequence[Images]) -> None:
    with torch.no_grad():
        for each in pictures:
            module(each)
