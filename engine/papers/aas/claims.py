"""AAS's falsifiable claims (spec 6.4, D1 to D6), on any model whose scores are in the open.

Every attack spends the same gradients on a picture, an ascent on factors included, in steps of the
same size; any wrong answer on the way counts, on the model as it is. Pairs are compared picture by
picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from engine.alter.float64 import Float64
from engine.alter.scaled import Scaled
from engine.alter.stack import altered, named
from engine.attack.attack import observe
from engine.attack.catalog import recipe
from engine.attack.recipes.pgd import PGD
from engine.core.errors import BadTask
from engine.core.knobs import Knobbed, knob
from engine.core.placement import describe
from engine.data.folder import batches, read_folder
from engine.evaluate.claim import Row, Unit, verdict
from engine.evaluate.interval import Estimate, Rate, mean
from engine.evaluate.judge import shown
from engine.evaluate.progress import Progress
from engine.evaluate.robust import Robust, paired, rate
from engine.model import zoo
from engine.model.sites import Site
from engine.model.task import task_for
from engine.papers.aas.findings import About, Attack, Block, Findings
from engine.papers.aas.masking import gradients, wanted
from engine.papers.aas.sources import GRAIN, Ground, Method, pgd, saturation
from engine.papers.paper import Photographs
from engine.probe.scores import CANCELS, UNDERFLOWS, leads

LEAST, AT_ONCE = 8, 4
GRID = (10.0, 0.1, 0.01, 0.001, 1e-4, 1e-5)
"""The published factors for all blocks, but for 1, which is the base attack."""
BASE, RESTART, FLOAT64, AAS, SHUFFLED = "base", "restart", "float64", "aas", "shuffled"
UNIFORM, GAMA, GAMA_AAS, STRONGEST = "uniform", "gama", "gama+aas", "autoattack"
TITLES = {
    BASE: "PGD",
    RESTART: "PGD, another start",
    FLOAT64: "PGD in float64",
    AAS: "PGD on learned factors (AAS)",
    SHUFFLED: "PGD on those factors, shuffled",
    GAMA: "GAMA-PGD",
    GAMA_AAS: "GAMA-PGD on learned factors",
    STRONGEST: "AutoAttack, quick",
}
PASSES = 1
"""An ascent's two passes without a gradient, as gradients, rounded up."""


@dataclass(frozen=True)
class Settings(Knobbed):
    """What can be set; the budget should leave about half of the pictures."""

    eps: float = knob(
        1 / 255, "Largest change of any pixel.", label="Budget eps", low=1e-5, unit="1/255"
    )
    steps: int = knob(20, "Steps of AAS's attack; all others spend its ascent on more.", low=1)
    ascent: int = knob(10, "Steps of the ascent on factors.", low=1, high=100)
    c: float = knob(
        1.0, "The model judged has its scores multiplied by this.", label="Scores times", low=1
    )
    control: float = knob(
        30.0, "D5: scores of the control multiplied by this.", label="Control c", low=1
    )
    few: int = knob(
        16, "Pictures of the side experiments: D5's control and D6.", low=LEAST, high=4096
    )

    @property
    def gradients(self) -> int:
        """What every attack spends on a picture."""
        return self.steps + self.ascent + PASSES

    @property
    def longer(self) -> PGD:
        """The base attack, as long as AAS with its ascent."""
        return pgd(self.eps, self.gradients, self.steps)

    @property
    def shorter(self) -> PGD:
        """AAS's attack on its factors."""
        return pgd(self.eps, self.steps, self.steps)

    @property
    def learned(self) -> Scaled:
        return Scaled(steps=self.ascent)


def claims(asked: Photographs, settings: Settings) -> Iterator[Progress | Row | Findings]:
    """Measure every claim on a model and a folder of pictures."""
    victim = named(asked.model, lambda name: zoo.load(name, asked.weights))
    items = read_folder(asked.folder, victim.spec.classes, limit=asked.limit, seed=asked.seed)
    (found,) = batches(items, victim.spec.input_size, 1.0, len(items))
    ground = Ground(
        victim,
        found.images,
        found.labels,
        settings.eps,
        settings.c,
        asked.seed,
        asked.batch,
        asked.keep,
    )
    yield from measure(ground, settings)


def measure(ground: Ground, settings: Settings) -> Iterator[Progress | Row | Findings]:
    """As `claims`; raises BadTask for too few pictures, UnsupportedModel for hidden scores."""
    wanted(ground.victim)
    n = len(ground.labels)
    if n < LEAST:
        raise BadTask(f"{n} pictures are too few.", f"Give at least {LEAST}.")
    left: Mapping[str, Robust] = {}
    for each in ground.all_left(_methods(settings)):
        if isinstance(each, Progress):
            yield each
        else:
            left = each
    best = min(GRID, key=lambda factor: int(left[_uniform(factor)].accuracy.count))
    on_scaled: Mapping[str, Robust] = {}
    for each in ground.all_left(_on_scaled(settings, best)):
        if isinstance(each, Progress):
            yield each
        else:
            on_scaled = each
    yield Progress("leads of scores", 0, 1)
    rows = _rows(ground)
    yield from _leads(rows)
    yield from _precision(ground, left, settings)
    yield from _scaling(left, best, settings)
    yield from _smaller(ground, left, settings)
    yield from _strongest(ground, settings)
    yield Findings(
        About(
            ground.judge.spec.full,
            n,
            settings.eps,
            settings.gradients,
            settings.ascent,
            settings.c,
            describe(ground.victim.device),
            rate(left[BASE].right),
        ),
        tuple(_block(index, each) for index, each in enumerate(rows)),
        tuple(_attack(name, settings, left, on_scaled.get(name)) for name in left),
    )


def titled(name: str) -> str:
    return TITLES.get(name, f"PGD on factor {name.removeprefix(UNIFORM).strip()}")


def _uniform(factor: float) -> str:
    return f"{UNIFORM} {factor:g}"


def _methods(by: Settings) -> tuple[Method, ...]:
    return (
        Method(BASE, by.longer),
        Method(RESTART, by.longer, seed=1),
        Method(FLOAT64, by.longer, (Float64(),)),
        *(
            Method(_uniform(factor), by.longer, (Scaled(factors="uniform", factor=factor),))
            for factor in GRID
        ),
        Method(AAS, by.shorter, (by.learned,)),
        Method(SHUFFLED, by.shorter, (replace(by.learned, factors="shuffled"),)),
    )


def _on_scaled(by: Settings, best: float) -> tuple[Method, ...]:
    """AAS and the best uniform factor, judged on the scaled model, as the paper may have done."""
    one = Scaled(factors="uniform", factor=best)
    return (
        Method(AAS, by.shorter, (by.learned,), scaled=True),
        Method(_uniform(best), by.longer, (one,), scaled=True),
    )


def _attack(name: str, by: Settings, left: Mapping[str, Robust], scaled: Robust | None) -> Attack:
    pair = paired(left[BASE].kept, left[name].kept)
    return Attack(
        name,
        titled(name),
        rate(left[name].kept),
        pair.gap,
        pair.p,
        by.gradients,
        None if scaled is None else rate(scaled.kept),
        None if scaled is None else rate(scaled.right),
    )


def _rows(ground: Ground) -> tuple[Tensor, ...]:
    """Leads of all rows of each block, (n, rows), on clean pictures."""
    judge = ground.judge
    parts = [
        observe(judge, shown(some, judge), {Site.SCORES}).values(Site.SCORES)
        for some in ground.pixels.split(AT_ONCE)
    ]
    blocks = zip(*parts, strict=True)
    return tuple(torch.cat([leads(s).flatten(1).float().cpu() for s in each]) for each in blocks)


def _block(index: int, rows: Tensor) -> Block:
    return Block(
        index,
        float(rows.median()),
        float(rows.max()),
        *(mean(_past(rows, at)) for at in (CANCELS, UNDERFLOWS)),
    )


def _past(rows: Tensor, least: float) -> Tensor:
    """% of each picture's rows (n,)."""
    return 100 * (rows >= least).double().mean(1)


def _leads(rows: tuple[Tensor, ...]) -> Iterator[Row]:
    """D1: whether rows of scores lead far enough for the mechanism to be there."""
    every = torch.cat(rows, 1)
    n, most = len(every), float(every.max())
    yield _row("D1", "largest lead of a row of scores", Estimate(most, most, most), "lead", n)
    for words, least, bar in (
        ("rows that float32 rounds (lead of 16.75)", CANCELS, None),
        ("rows that underflow in float32 (lead of 104)", UNDERFLOWS, 0.1),
    ):
        yield _row("D1", words, mean(_past(every, least)), "%", n, bar)


def _precision(ground: Ground, left: Mapping[str, Robust], by: Settings) -> Iterator[Row]:
    """D2: whether float64 finds what float32 cannot."""
    judge = ground.judge
    exact = altered(ground.victim, (*saturation(ground.c), Float64()))
    found: list[float] = []
    for pixels, label in zip(ground.pixels.split(1), ground.labels.split(1), strict=True):
        task = task_for(judge, shown(pixels, judge), label)
        here = gradients(judge, task.on(judge).images, task.labels)
        there = gradients(exact, task.on(exact).images, task.labels)
        found.append(float(here.cosine(there)[-1]))
    cosines = torch.tensor(found, dtype=torch.float64)
    cosines = cosines[cosines.isfinite()]
    if len(cosines):
        words = "cosine of float32's and float64's gradient at the pixels, mean"
        yield _row("D2", words, mean(cosines), "correlation", len(cosines))
    words = "left by PGD minus left by PGD in float64"
    yield _pair("D2", words, left[BASE].kept, left[FLOAT64].kept, by, 0.2)


def _scaling(left: Mapping[str, Robust], best: float, by: Settings) -> Iterator[Row]:
    """D3: one factor for all blocks; D4: learned ones, against all controls."""
    base, aas, one = left[BASE].kept, left[AAS].kept, left[_uniform(best)].kept
    manual = min(base, one, key=lambda kept: int(kept.sum()))  # 1 is in the published grid
    yield _pair("D3", "left by PGD minus on the best one factor for all blocks", base, one, by, 1)
    rows = {
        "left by PGD minus on learned factors (AAS)": (base, None),
        "left on shuffled factors minus on learned ones": (left[SHUFFLED].kept, 0.5),
        "left on the best one factor, 1 included, minus on learned ones": (manual, 0.5),
    }
    for words, (kept, bar) in rows.items():
        yield _pair("D4", words, kept, aas, by, bar)
    both, twice = left[BASE] & left[AAS], left[BASE] & left[RESTART]
    words = "left by PGD from two starts minus by PGD and AAS together"
    yield _pair("D4", words, twice.kept, both.kept, by, 0, times=2)


def _smaller(ground: Ground, left: Mapping[str, Robust], by: Settings) -> Iterator[Progress | Row]:
    """D5: AAS brings more where scores are larger."""
    if by.c >= by.control:
        return
    few = min(by.few, len(ground.labels))
    sharp = replace(ground, c=by.control, pixels=ground.pixels[:few], labels=ground.labels[:few])
    control: Mapping[str, Robust] = {}
    methods = [each for each in _methods(by) if each.name in (BASE, AAS)]
    for each in sharp.all_left(methods):
        if isinstance(each, Progress):
            yield each
        else:
            control = each
    gains = [
        100 * (its[BASE].kept[:few].double() - its[AAS].kept[:few].double())
        for its in (control, left)
    ]
    more = Rate.change(mean(gains[0] - gains[1]), few)
    words = f"what AAS gains on PGD, scores × {by.control:g} minus as they are"
    yield _row("D5", words, more, "points", few, 0)


def _strongest(ground: Ground, by: Settings) -> Iterator[Progress | Row]:
    """D6: AutoAttack leaves less than GAMA with AAS; recipes know no budget below 1/255."""
    if by.eps < GRAIN - 1e-9:
        return
    few = min(by.few, len(ground.labels))
    some = replace(ground, pixels=ground.pixels[:few], labels=ground.labels[:few])
    gama = recipe("gama_pgd", eps=by.eps, steps=by.gradients)
    left: Mapping[str, Robust] = {}
    methods = (
        Method(GAMA, gama),
        Method(GAMA_AAS, replace(gama, steps=by.steps), (by.learned,)),
        Method(STRONGEST, recipe("autoattack_quick", eps=by.eps), last=True),
    )
    for each in some.all_left(methods):
        if isinstance(each, Progress):
            yield each
        else:
            left = each
    both, strongest = left[GAMA] & left[GAMA_AAS], left[STRONGEST].kept
    words = "left by GAMA and GAMA on learned factors together minus by AutoAttack (quick)"
    pair = paired(both.kept, strongest)
    yield _row("D6", words, pair.gap, "points", few, 0, pair.p)
    for name in (GAMA, GAMA_AAS, STRONGEST):
        yield _row("D6", f"left by {titled(name)}", rate(left[name].kept), "%", few)


def _pair(
    claim: str,
    words: str,
    first: Tensor,
    second: Tensor,
    by: Settings,
    bar: float | None = None,
    times: int = 1,
) -> Row:
    pair, spent = paired(first, second), times * by.gradients
    return _row(
        claim, words, pair.gap, "points", len(first), bar, pair.p, f"{spent} against {spent}"
    )


def _row(
    claim: str,
    words: str,
    measured: Estimate,
    unit: Unit,
    pictures: int,
    above: float | None = None,
    p: float | None = None,
    budget: str = "",
) -> Row:
    plain = Estimate(measured.value, measured.low, measured.high)
    expected = "" if above is None else f"above {above:g}"
    said = verdict(plain, above)
    return Row(claim, words, plain, unit, expected, said, pictures, p, budget)
