"""DeSparsify's falsifiable claims (spec 8.3), on any model that puts tokens to sleep.

Pictures are attacked, saved in 8 bits and shown to the model one by one; costs are counted. The
first pictures set the detector, all others are measured, and the side experiments take the first
`few` of those. Intervals are 95 % bootstraps over pictures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor

from engine.alter.ensemble import ensemble
from engine.alter.stack import altered
from engine.alter.topk import FixedRatio
from engine.attack.attack import observe
from engine.attack.recipe import Recipe
from engine.attack.recipes.desparsify import DeSparsify
from engine.attack.recipes.pgd import PGD
from engine.attack.recipes.slowformer import SlowFormer
from engine.attack.recipes.sponge import Sponge
from engine.attack.universal import CLASS_UNIVERSAL, UNIVERSAL, shipped_for
from engine.core.errors import BadTask
from engine.core.placement import describe
from engine.core.shapes import Images, Labels
from engine.core.streams import Streams
from engine.data.folder import batches, read_folder
from engine.evaluate.bench import interleaved, most_memory
from engine.evaluate.claim import Row, Unit, Verdict
from engine.evaluate.craft import Crafted, crafted
from engine.evaluate.crafter import Crafter
from engine.evaluate.interval import Estimate, Rate, bootstrap
from engine.evaluate.judge import predict, shown
from engine.evaluate.noise import noisy, signs
from engine.evaluate.progress import Progress
from engine.evaluate.robust import within
from engine.evaluate.universal import saved
from engine.model.victim import Victim
from engine.papers.desparsify import victims
from engine.papers.desparsify.countermeasures import BOUNDS, countermeasures, curve
from engine.papers.desparsify.evidence import LEAST, Evidence, Settings, in_255ths
from engine.papers.desparsify.findings import (
    About,
    Abroad,
    Bounded,
    Defended,
    Finding,
    Findings,
    Point,
)
from engine.papers.desparsify.passes import (
    DENSE,
    Pass,
    batch_macs,
    dense_macs,
    mechanism,
    passes,
    wanted,
    watch,
)
from engine.papers.desparsify.sets import Load
from engine.papers.detected import Detected
from engine.papers.paper import Photographs

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
    evidence = Evidence(
        victim, relatives, settings, craft, known, pixels, labels, clean, main, hard, *loads
    )
    for part in (
        about,
        closed,
        aside,
        asleep,
        budgets,
        for_any_picture,
        together,
        elsewhere,
        defended,
        bounded,
        told_apart,
        easy_and_hard,
        timed,
        in_a_batch,
    ):
        yield from part(evidence)


def _side(settings: Settings, eps: float) -> DeSparsify:
    """The attack of the side experiments."""
    return DeSparsify(eps=eps, steps=settings.side_steps)


def about(of: Evidence) -> Iterator[Finding]:
    """What all of this was measured on, and the clean pictures."""
    chosen = of.settings
    right = of.rate(of.clean.answers == of.labels)
    answers = of.clean.answers
    if of.host is not None:
        answers = torch.cat([predict(of.host, each) for each in of.pixels.split(32)])
    yield About(
        of.victim.spec.full,
        of.kind,
        of.n,
        of.few,
        len(of.known),
        chosen.eps,
        chosen.budget,
        chosen.steps,
        chosen.side_steps,
        describe(of.victim.device),
        of.dense / 1e9,
        right,
        of.rate(answers == of.labels),
    )
    yield of.measured("clean", 0.0, of.clean)


def closed(of: Evidence) -> Iterator[Row | Finding]:
    """(b): the share of the dense gap that is closed, and the answers that stay."""
    at, aim = in_255ths(of.settings.budget), of.settings.aim
    yield of.measured("at the aim's budget", of.settings.budget, of.main_load)
    yield of.measured(ATTACK, of.settings.eps, of.hard_load)
    closed = of.gap(of.main_load.macs)
    yield of.row("b", f"gap closed at {at}", closed, "%", of.n, above=100 * aim)
    each = of.gap_of_each(of.main_load)
    yield of.row("b", f"gap closed at {at}, mean over pictures", each, "%", of.n)
    kept = of.rate(of.main_load.answers == of.clean.answers)
    yield of.row("b", f"answers kept at {at}", kept, "%", of.n, above=97)
    words = f"{in_255ths(of.settings.eps)}, the first pictures"
    hard, first = of.gap(of.hard_load.macs), of.clean.answers[: of.few]
    yield of.row("b", f"gap closed at {words}", hard, "%", of.few, paper=ATTACK)
    kept = of.rate(of.hard_load.answers == first)
    yield of.row("b", f"answers kept at {words}", kept, "%", of.few, above=95)
    for name, load in (("clean", of.clean), (f"attacked at {at}", of.main_load)):
        right = of.rate(load.answers == of.labels)
        yield of.row("b", f"right answers, {name}", right, "%", of.n)
        yield of.row("b", f"cost, {name}", of.mean(load.macs / 1e9), "GMACs", of.n)
        used = of.mean(load.utilisation * 100)
        yield of.row("b", f"tokens used, {name}", used, "%", of.n)


def aside(of: Evidence) -> Iterator[Progress | Row | Finding]:
    """(a): noise and attacks that aim at something else; (g): without the class term."""
    eps, pixels, labels = of.settings.eps, of.pixels[: of.few], of.labels[: of.few]
    sets = {"noise": noisy(pixels, eps, of.craft.seed)}
    todo: dict[str, Recipe] = {
        "pgd": PGD(eps=eps, steps=of.settings.other_steps),
        "sponge": Sponge(eps=eps, steps=of.settings.other_steps),
        SlowFormer.name: SlowFormer(steps=of.settings.other_steps),
        "no class term": replace(_side(of.settings, eps), lam=0.0),
    }
    for name, recipe in todo.items():
        for each in of.craft(name, recipe, of.victim, pixels, labels):
            if isinstance(each, Progress):
                yield each
            else:
                sets[name] = each
    loads = {name: Load.of(of.victim, each) for name, each in sets.items()}
    for name, load in loads.items():
        yield of.measured(name, 1.0 if name == SlowFormer.name else eps, load)
    for name, words in ASIDE_WORDS.items():
        at = words if name == SlowFormer.name else f"{words} at {in_255ths(eps)}"
        gap = of.gap(loads[name].macs)
        limits = {"noise": (-5.0, 5.0), "pgd": (None, 20.0)}.get(name, (None, None))
        yield of.row("a", f"gap closed by {at}", gap, "%", of.few, limits[0], limits[1], paper=name)
        right = of.rate(loads[name].answers == labels)
        yield of.row("a", f"right answers under {at}", right, "%", of.few)
    free, clean = loads["no class term"], of.clean.answers[: of.few]
    kept = [(each.answers == clean).double() * 100 for each in (of.hard_load, free)]
    fewer = Rate.change(of.mean(kept[0] - kept[1]), of.few)
    yield of.row(
        "g", "answers kept, with minus without class term", fewer, "points", of.few, above=0
    )
    more = of.gap_between(free, of.hard_load)
    yield of.row("g", "gap closed, without minus with class term", more, "points", of.few)


def asleep(of: Evidence) -> Iterator[Row]:
    """(c): what sleeps on every clean picture, which the paper's AdaViT cannot wake."""
    clean, hit = of.clean.decisions, of.hard_load.decisions
    first, dead = of.clean.passes[0], ~clean.any(0)
    slots = first.keep.numel()
    tokens = dead[:slots].view_as(first.keep)
    patches = tokens[:, of.victim.spec.blocks[0].prefix :]
    found = {
        ASLEEP[0]: (float(patches.all(1).sum()), "count"),
        ASLEEP[1]: (100 * float(tokens.double().mean()), "%"),
        ASLEEP[2]: (100 * float(dead[slots:].double().mean()), "%"),
    }
    for words, (value, unit) in found.items():
        if not math.isnan(value):  # only AdaViT decides about heads and sub-layers
            alike = Estimate(value, value, value)
            yield of.row("c", words, alike, cast(Unit, unit), of.n)
    if dead.any():
        woken = of.mean(100 * hit[:, dead].double().mean(1))
        at = in_255ths(of.settings.eps)
        yield of.row("c", f"of those, woken at {at}", woken, "%", of.few)


def budgets(of: Evidence) -> Iterator[Progress | Row | Finding]:
    """(d): the gap grows with the budget."""
    pixels, labels = of.pixels[: of.few], of.labels[: of.few]
    loads: dict[float, Load] = {}
    for step in CURVE:
        eps = step / 255
        noise: Load | None = None
        if step < 1:
            for each in _unrounded(of, eps):
                if isinstance(each, Progress):
                    yield each
                else:
                    loads[step], noise = each
        elif abs(eps - of.settings.eps) < 1e-9:
            loads[step] = of.hard_load
        else:
            attack = _side(of.settings, eps)
            for each in of.craft(in_255ths(eps), attack, of.victim, pixels, labels):
                if isinstance(each, Progress):
                    yield each
                else:
                    loads[step] = Load.of(of.victim, each)
        noise = noise or Load.of(of.victim, noisy(pixels, eps, of.craft.seed))
        kept = of.rate(loads[step].answers == of.clean.answers[: of.few])
        yield Point(eps, of.gap(loads[step].macs), of.gap(noise.macs), kept)
    for low, high in pairwise(CURVE):
        rise = of.gap_between(loads[high], loads[low])
        words = f"gap closed at {high:g}/255 minus at {low:g}/255"
        yield of.row("d", words, rise, "points", of.few, above=0)


def _unrounded(of: Evidence, eps: float) -> Iterator[Progress | tuple[Load, Load]]:
    """The first pictures under a budget that 8 bits cannot hold, attacked and under noise."""
    recipe = replace(
        _side(of.settings, 1 / 255),
        step_size=max(eps / 10, 2.5 * eps / of.settings.side_steps),
    )
    attack = within(recipe.build(of.victim.spec), eps)
    pixels, labels = of.pixels[: of.few], of.labels[: of.few]
    hit, noise = list[Pass](), list[Pass]()
    for first in range(0, of.few, of.craft.batch):
        some = slice(first, first + of.craft.batch)
        last: Crafted | None = None
        for last in crafted(
            attack,
            of.victim,
            pixels[some],
            labels[some],
            eps=eps,
            seed=of.craft.seed,
            first=first,
        ):
            yield Progress(
                in_255ths(eps),
                first * attack.steps + last.steps * len(last.x),
                of.few * attack.steps,
            )
        assert last is not None  # an attack has a step
        around = signs(last.clean.shape, Streams(of.craft.seed)).to(last.clean)
        for into, x in ((hit, last.x), (noise, (last.clean + eps * around).clamp(0, 1))):
            out = observe(of.victim, x, watch(of.victim).values)
            into += passes(of.victim, out)
    yield Load(tuple(hit)), Load(tuple(noise))


def for_any_picture(of: Evidence) -> Iterator[Row | Finding]:
    """(d): what ships for any picture of the model, on pictures that its training never saw."""
    made = {each.kind: each for each in shipped_for(of.victim.spec.full, ATTACK)}
    loads: dict[str, Load] = {}
    for kind, each in made.items():
        loads[kind] = Load.of(of.victim, saved(each, of.pixels, of.victim))
        rows = of.of_class(each.label) if each.label else torch.arange(of.n)
        load, clean = loads[kind].rows(rows), of.clean.rows(rows)
        yield of.measured(each.title, each.eps, load, clean, of.labels[rows])
        gap, kept = of.gap(load.macs, clean.macs), of.rate(load.answers == clean.answers)
        on = ", on its class" if each.label else ""
        yield of.row("d", f"gap closed by the {kind} one{on}", gap, "%", len(rows), paper=kind)
        yield of.row("d", f"answers kept under the {kind} one{on}", kept, "%", len(rows))
    if UNIVERSAL in made:
        less = of.gap_between(of.hard_load, Load(loads[UNIVERSAL].passes[: of.few]))
        yield of.row(
            "d", "gap closed, single picture minus universal", less, "points", of.few, above=0
        )
    if UNIVERSAL in made and CLASS_UNIVERSAL in made:
        rows = of.of_class(made[CLASS_UNIVERSAL].label)
        own, any_ = (loads[kind].rows(rows) for kind in (CLASS_UNIVERSAL, UNIVERSAL))
        less = of.gap_between(own, any_, of.clean.rows(rows))
        words = "gap closed, class-universal minus universal, on that class"
        yield of.row("d", words, less, "points", len(rows), above=0)


def together(of: Evidence) -> Iterator[Progress | Row | Finding]:
    """(e): one perturbation against all mechanisms at once, against the specialist's."""
    others = [each for each in of.relatives.values() if mechanism(each) != DENSE]
    if not others:
        return
    pixels, labels = of.pixels[: of.few], of.labels[: of.few]
    attack = _side(of.settings, of.settings.eps)
    for each in of.craft("ensemble", attack, ensemble([of.victim, *others]), pixels, labels):
        if isinstance(each, Progress):
            yield each
            continue
        load = Load.of(of.victim, each)
        yield of.measured("ensemble", of.settings.eps, load)
        gap, less = of.gap(load.macs), of.gap_between(load, of.hard_load)
        words = f"gap closed by the ensemble of mechanisms at {in_255ths(of.settings.eps)}"
        yield of.row("e", words, gap, "%", of.few, above=0, paper="ensemble")
        yield of.row("e", "gap closed, ensemble minus specialist", less, "points", of.few, below=0)


def elsewhere(of: Evidence) -> Iterator[Row | Finding]:
    """(f): the same pictures in other mechanisms, in the dense host, and at a fixed ratio."""
    pixels = of.pixels[: of.few]
    for title, other in of.relatives.items():
        clean, hit = (Load.of(other, each) for each in (pixels, of.hard))
        kept = of.rate(hit.answers == clean.answers)
        if mechanism(other) == DENSE:
            yield _unmoved(of, "the dense model", clean, hit)
            gap = Estimate(0.0, 0.0, 0.0)
        else:
            gap = of.gap(hit.macs, clean.macs, dense_macs(other))
            yield of.row("f", f"gap closed in {title}", gap, "%", of.few)
            own = of.gap(of.hard_load.macs)
            least = Estimate(own.value - gap.value, own.low - gap.high, own.high - gap.low)
            yield of.row("f", f"gap closed here minus in {title}", least, "points", of.few, above=0)
        yield Abroad(other.spec.full, title, mechanism(other), gap, kept)
    if of.host is not None:
        fixed = FixedRatio()(of.host)
        yield _unmoved(of, "a fixed ratio", *(Load.of(fixed, each) for each in (pixels, of.hard)))


def _unmoved(of: Evidence, words: str, clean: Load, hit: Load) -> Row:
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
        of.few,
    )


def defended(of: Evidence) -> Iterator[Progress | Row | Finding]:
    """(h): bounds on tokens calibrated on clean pictures."""
    todo = countermeasures()
    for done, each in enumerate(todo):
        yield Progress("countermeasures", done, len(todo))
        held = altered(of.victim, each.stack)
        clean, hit = (Load.of(held, x) for x in (of.pixels, of.main))
        left, price = of.gap(hit.macs), of.price(clean.answers)
        kept = of.rate(hit.answers == of.clean.answers)
        before, after = (of.mean(load.macs / 1e9) for load in (clean, hit))
        yield Defended(each.name, left, before, after, price, kept)
        mean = done < 2  # the paper's two are bounds at the mean
        yield of.row("h", f"{each.name}: gap closed", left, "%", of.n, below=5 if mean else None)
        yield of.row(
            "h",
            f"{each.name}: right answers, clean",
            price,
            "points",
            of.n,
            above=-1.5 if mean else None,
        )
        yield of.row("h", f"{each.name}: answers kept under attack", kept, "%", of.n)


def bounded(of: Evidence) -> Iterator[Progress | Row | Finding]:
    """(h): the curve over bounds, and the attacker who knows them."""
    pixels, labels = of.pixels[: of.few], of.labels[: of.few]
    attack = _side(of.settings, of.settings.eps)

    def anew(held: Victim) -> Tensor:
        *_, last = of.craft("adaptive", attack, held, pixels, labels)
        assert isinstance(last, Tensor)
        return last

    most = 0.0
    for bound in BOUNDS:
        craft = anew if bound in ADAPTIVE else None
        for each in curve(of.victim, of.pixels, of.hard, craft, (bound,)):
            if isinstance(each, Progress):
                yield Progress("bounds", BOUNDS.index(bound), len(BOUNDS))
                continue
            clean, blind, adaptive = each.clean, each.blind, each.adaptive
            first = of.clean.answers[: of.few]
            most = max(
                most,
                *(float(x.macs.max()) / each.ceiling for x in (clean, blind, adaptive) if x),
            )
            yield Bounded(
                bound,
                each.ceiling / 1e9,
                of.mean(clean.macs / 1e9),
                of.mean(blind.macs / 1e9),
                of.mean(adaptive.macs / 1e9) if adaptive else None,
                of.price(clean.answers),
                of.rate(clean.answers == of.clean.answers),
                of.rate(blind.answers == first),
                of.rate(adaptive.answers == first) if adaptive else None,
            )
            if adaptive:
                for words, load in (("does not know", blind), ("knows", adaptive)):
                    gap = of.gap(load.macs)
                    yield of.row(
                        "h",
                        f"bound of {bound:.0%}, attacker {words} of it: gap closed",
                        gap,
                        "%",
                        of.few,
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
        of.n,
    )


def told_apart(of: Evidence) -> Iterator[Row | Finding]:
    """(h): the detector by cost."""
    quiet = Load.of(of.victim, of.known).macs
    found = Detected.by(quiet, of.clean.macs, of.main_load.macs)
    yield of.row(
        "h", "detector by cost: area under its ROC curve", found.area, "area", of.n, above=0.5
    )
    words = f"detector calibrated at {found.alarm:.0%} false alarms: attacks caught"
    yield of.row("h", words, found.caught, "%", of.n)
    yield of.row("h", "the same detector: clean pictures flagged", found.flagged, "%", of.n)
    yield found


def easy_and_hard(of: Evidence) -> Iterator[Row]:
    """(i): pictures that cost little gain more than those that cost much."""
    order = of.clean.macs.argsort(stable=True)
    third = max(1, of.n // 3)
    gained = (of.main_load.macs - of.clean.macs) / 1e9
    parts = [
        torch.zeros(of.n, dtype=torch.float64).index_fill(0, rows, 1)
        for rows in (order[:third], order[-third:])
    ]

    def apart(weights: Tensor) -> Tensor:
        means = [((weights * part) @ gained) / (weights @ part) for part in parts]
        return means[0] - means[1]

    more = bootstrap(apart, of.n)
    words = f"cost gained at {in_255ths(of.settings.budget)}, easiest third minus hardest"
    yield of.row("i", words, more, "GMACs", of.n, above=0)


def timed(of: Evidence) -> Iterator[Row]:
    """(j): time of the path that really skips, picture by picture, and of the host."""
    sparse, where = wanted(of.victim), of.victim.device
    ready = {
        name: of.victim.normalised(shown(pixels[:LEAST], of.victim)).split(1)
        for name, pixels in (("clean", of.pixels), ("attacked", of.hard))
    }
    jobs = {name: partial(_one_by_one, sparse.compact, x) for name, x in ready.items()}
    jobs[DENSE] = partial(_one_by_one, sparse.backbone, ready["clean"])
    took = interleaved(jobs, of.settings.rounds, where)
    at = f"batch 1, eager float32, {describe(where)}"
    for one, other, words in (
        ("attacked", "clean", "time, attacked / clean"),
        ("clean", DENSE, "time, clean / dense"),
        ("attacked", DENSE, "time, attacked / dense"),
    ):
        value = took[one] / took[other]
        yield of.row("j", f"{words} ({at})", Estimate(value, value, value), "ratio", LEAST)
    if where.type == "cuda":
        most = {name: most_memory(job, where) for name, job in jobs.items()}
        value = most["attacked"] / most["clean"]
        yield of.row(
            "j",
            f"peak memory, attacked / clean ({at})",
            Estimate(value, value, value),
            "ratio",
            LEAST,
        )


def in_a_batch(of: Evidence) -> Iterator[Row]:
    """(j): what one attacked picture makes a padded batch pay."""
    for size in (size for size in BATCHES if size <= of.few):
        gen = Streams(of.craft.seed).at("batches", size)
        ratios: list[float] = []
        for _ in range(GROUPS):
            rows = torch.randperm(of.few, generator=gen)[:size]
            mates = of.pixels[rows]
            with_one = torch.cat((of.hard[rows[:1]], mates[1:]))
            ratios.append(batch_macs(of.victim, with_one) / batch_macs(of.victim, mates))
        measured = of.mean(torch.tensor(ratios, dtype=torch.float64))
        words = f"cost of a padded batch of {size}, one attacked / all clean"
        yield of.row("j", words, measured, "ratio", GROUPS, above=1)


def _one_by_one(module: Callable[[Images], Tensor], pictures: Sequence[Images]) -> None:
    with torch.no_grad():
        for each in pictures:
            module(each)
