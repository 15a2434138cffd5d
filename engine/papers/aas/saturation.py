"""The positive control: a model whose scores are multiplied, whose right gradient is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from engine.alter.bfloat16 import BFloat16
from engine.alter.float64 import Float64
from engine.alter.scaled import Scaled
from engine.alter.stack import named
from engine.core.placement import describe
from engine.data.folder import batches, read_folder
from engine.evaluate.claim import table
from engine.evaluate.interval import Estimate
from engine.evaluate.progress import Progress
from engine.evaluate.robust import Robust, paired, rate
from engine.model import zoo
from engine.papers.aas.findings import Point, Saturation
from engine.papers.aas.sources import Ground, Method, pgd
from engine.papers.paper import Photographs

NAME = "aas_saturation"
CLEAN, BASE, UNDONE, THRICE, LEARNED = "clean", "base", "undone", "thrice", "aas"
FLOAT64, BFLOAT16 = "float64", "bfloat16"
GRID = (0.1, 0.01, 0.001)
"""Factors for all blocks, whatever c is: who does not know c can try these."""
TITLES = {
    CLEAN: "clean",
    BASE: "own gradient",
    FLOAT64: "float64",
    BFLOAT16: "bfloat16",
    UNDONE: "factor 1/c",
    THRICE: "factor 3/c",
    **{f"uniform {factor:g}": f"factor {factor:g}" for factor in GRID},
    LEARNED: "AAS",
}


@dataclass(frozen=True)
class Conditions:
    """What is measured: every c at `eps`, and every further budget at `at`, on the first `few`."""

    cs: Sequence[float] = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
    eps: float = 1 / 255
    budgets: Sequence[float] = ()
    at: float = 30.0
    few: int = 32
    steps: int = 20


def methods(c: float, eps: float, steps: int) -> tuple[Method, ...]:
    """PGD on the model as it is, in three precisions, and under factors; AAS pays its ascent extra."""
    attack = pgd(eps, steps, steps)

    def uniform(name: str, factor: float) -> Method:
        return Method(name, attack, (Scaled(factors="uniform", factor=factor),))

    known = {UNDONE: 1 / c, THRICE: 3 / c} if c > 1 else {}
    return (
        Method(BASE, attack),
        Method(FLOAT64, attack, (Float64(),)),
        Method(BFLOAT16, attack, (BFloat16(),)),
        *(uniform(name, factor) for name, factor in known.items()),
        *(uniform(f"uniform {factor:g}", factor) for factor in GRID),
        Method(LEARNED, attack, (Scaled(),)),
    )


def saturate(asked: Photographs, on: Conditions) -> Iterator[Progress | Saturation]:
    """Who is left, for every c and budget; all that is known so far after each portion of pictures.

    Pictures are taken in portions, so that a run that is stopped leaves a smaller study, and not a
    part of one.
    """
    victim = named(asked.model, lambda name: zoo.load(name, asked.weights))
    items = read_folder(asked.folder, victim.spec.classes, limit=asked.limit, seed=asked.seed)
    (found,) = batches(items, victim.spec.input_size, 1.0, len(items))
    ground = Ground(
        victim,
        found.images,
        found.labels,
        on.eps,
        seed=asked.seed,
        batch=asked.batch,
        keep=asked.keep,
    )
    yield from grown(ground, on)


def grown(ground: Ground, on: Conditions) -> Iterator[Progress | Saturation]:
    """As `saturate`, for pictures in memory."""
    few = slice(0, on.few)
    whole = replace(ground, eps=on.eps)
    aside = replace(whole, c=on.at, pixels=ground.pixels[few], labels=ground.labels[few])
    grounds = {(c, on.eps): replace(whole, c=c) for c in on.cs}
    for eps in on.budgets:
        grounds.setdefault((on.at, eps), replace(aside, eps=eps))
    known: dict[tuple[float, float], dict[str, Robust]] = {}
    for some in ground.portions:
        for at, each in grounds.items():
            part = slice(some.start, min(some.stop, len(each.labels)))
            if part.start < part.stop:
                todo = methods(each.c, each.eps, on.steps)
                yield from each.more(todo, part, known.setdefault(at, {}))
        points = tuple(p for at, left in sorted(known.items()) for p in _points(*at, left))
        model, device = ground.victim.spec.full, describe(ground.victim.device)
        yield Saturation(model, on.steps, Scaled.steps, device, points)


def _points(c: float, eps: float, left: Mapping[str, Robust]) -> Iterator[Point]:
    base = left[BASE]
    n = len(base.kept)
    for name, kept in {CLEAN: base.right, **{key: each.kept for key, each in left.items()}}.items():
        pair = paired(base.kept, kept)
        yield Point(c, eps, name, n, rate(kept), pair.gap, pair.p)


def best_uniform(found: Saturation, c: float, eps: float) -> Point | None:
    """The one factor for all blocks that leaves fewest, of those that need not know c.

    It is chosen by the very pictures that it is measured on, in its favour.
    """
    points = [found.at(c, eps, f"uniform {factor:g}") for factor in GRID]
    known = [each for each in points if each is not None]
    return min(known, key=lambda each: each.left.value, default=None)


def markdown(found: Saturation) -> str:
    """A line for each c and budget: % left by each method."""
    at = list(dict.fromkeys((each.c, each.eps) for each in found.points))

    def cell(c: float, eps: float, name: str) -> str:
        point = found.at(c, eps, name)
        return _percent(point.left) if point else ""

    pictures = [str(next(p.pictures for p in found.points if (p.c, p.eps) == each)) for each in at]
    return table(
        {
            "scores ×": [f"{c:g}" for c, _ in at],
            "eps": [f"{255 * eps:g}/255" for _, eps in at],
            "photographs": pictures,
            **{title: [cell(*each, name) for each in at] for name, title in TITLES.items()},
        }
    )


def _percent(found: Estimate) -> str:
    return f"{found.value:.0f} % [{found.low:.0f}, {found.high:.0f}]"
