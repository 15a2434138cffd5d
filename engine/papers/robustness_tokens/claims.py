"""The claims of Robustness Tokens (spec C8, B a to f), and those that nobody published.

Pictures are attacked under every threat and shown to the model without tokens, with the defender's, and
with random ones; pairs are compared picture by picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from engine.alter.stack import named
from engine.alter.tokens import RobustnessTokens
from engine.core.errors import BadTask
from engine.core.shapes import Labels
from engine.data.folder import Item, batches, read_folder
from engine.evaluate.claim import Row, Unit, verdict
from engine.evaluate.interval import Estimate, Rate, bootstrap, mean
from engine.evaluate.progress import Progress
from engine.model import zoo
from engine.model.tokenfile import RANDOM
from engine.model.tokens import hosted
from engine.papers.paper import Photographs
from engine.papers.quant.threshold import PUBLISHED, usual
from engine.papers.robustness_tokens.evidence import (
    LEAST,
    POOL,
    Bench,
    Ground,
    Looks,
    Settings,
)
from engine.papers.robustness_tokens.findings import (
    Attacker,
    Curve,
    Findings,
    Met,
    Quantity,
)
from engine.papers.robustness_tokens.given import given, rival
from engine.papers.robustness_tokens.inside import Inside
from engine.papers.robustness_tokens.threat import Models

ATTACKERS: tuple[Attacker, ...] = ("transfer", "surrogate", "adaptive", "restarts", "auto")


def claims(asked: Photographs, settings: Settings) -> Iterator[Progress | Row | Findings]:
    """Measure every claim on a model and a folder of labelled pictures."""
    public = named(asked.model, lambda name: zoo.load(name, asked.weights))
    tokens = given(public, settings.tokens, settings.count)
    items = read_folder(asked.folder, public.spec.classes, seed=asked.seed)
    chosen, rest = items[: asked.limit], items[len(items[: asked.limit]) :]
    size, count = public.spec.input_size, len(tokens.values)
    pixels, labels = _read(chosen, size)
    untrained = RobustnessTokens(RANDOM, count).tokens(public)
    threshold = usual(public.spec.name, asked.weights)
    ground = Ground(
        Models.of(public, tokens.values, rival(public)),
        hosted(public, untrained),
        pixels,
        labels,
        _read(rest[:POOL], size)[0] if settings.sweep else pixels[:0],
        count,
        tokens.words,
        threshold.value if threshold else PUBLISHED,
        asked.seed,
        asked.batch,
        asked.keep,
    )
    yield from measure(ground, settings)


def measure(ground: Ground, settings: Settings) -> Iterator[Progress | Row | Findings]:
    """As `claims`, for pictures in memory; the findings come last. Raises BadTask for too few."""
    if len(ground.labels) < LEAST:
        raise BadTask(f"Claims need at least {LEAST} pictures.", "Take more.")
    if settings.sweep and not len(ground.others):
        raise BadTask("The sweep needs pictures that are not measured.", "Lower the limit.")
    bench = Bench(ground, settings)
    made = yield from bench.made()
    met, secrecy = yield from bench.met(made)
    yield Progress("inside", 0, 1)
    looks = bench.inside(made)
    swept = yield from bench.swept(made)
    found = Findings(bench.about(looks), bench.clean(), met, secrecy, curves(looks), swept)
    yield from rows(found)
    yield from _inside_rows(looks)
    yield found


def _read(items: Sequence[Item], size: int) -> tuple[Tensor, Labels]:
    if not items:
        return torch.zeros(0, 3, size, size, dtype=torch.uint8), torch.zeros(0, dtype=torch.long)
    (found,) = batches(items, size, 1.0, len(items))
    return found.images, found.labels


def curves(looks: Looks) -> tuple[Curve, ...]:
    """Every quantity of every look, by block."""
    found: list[Curve] = []
    for (model, shown), inside in looks.items():
        for quantity, values in _quantities(inside).items():
            blocks = tuple(mean(block) for block in values.T)
            found.append(
                Curve(quantity, model, shown, blocks, mean(_over_blocks(quantity, values)))
            )
    return tuple(found)


def _quantities(inside: Inside) -> dict[Quantity, Tensor]:
    """What a look has, each (n, l)."""
    found: dict[Quantity, Tensor | None] = {
        "largest": inside.largest,
        "own": inside.own,
        "outliers": inside.outliers,
        "spared": None if inside.own is None else inside.spared,
        "kept": inside.kept,
        "mass": None if inside.mass is None else 100 * inside.mass.mean(-1),
    }
    return {name: values.double() for name, values in found.items() if values is not None}


def _over_blocks(quantity: Quantity, values: Tensor) -> Tensor:
    if quantity in ("largest", "own"):
        return values.amax(1)
    return values.sum(1) if quantity in ("outliers", "spared") else values.mean(1)


def rows(found: Findings) -> Iterator[Row]:
    """What follows of untouched pictures, of the threats, and of the sweep."""
    n, armed = found.about.pictures, found.untouched("private")
    yield _row(
        "Ba",
        "untouched: cosine with the feature without tokens",
        armed.kept,
        "correlation",
        n,
        0.95,
    )
    cost = armed.cost
    change = Rate(-cost.value, -cost.high, -cost.low, n, cost.agreed)
    yield _row("Ba", "untouched: change of accuracy", change, "points", n, -2)
    for attacker in ATTACKERS:
        if each := found.under("private", attacker):
            claim = "Bb" if attacker == "transfer" else "Bc"
            yield from _gains(claim, attacker, each)
    worth = found.secrecy
    words = "transfer less adaptive, with tokens: what secrecy is worth in"
    yield _row("Bc", f"{words} cosine", worth.kept, "correlation", n)
    yield _row("Bc", f"{words} right answers", worth.stands, "points", n)
    if each := found.under("random", "transfer"):
        yield from _gains("Bb", "transfer, random tokens instead", each, reported=True)
    yield from _sweep_rows(found)


def _gains(claim: str, words: str, met: Met, *, reported: bool = False) -> Iterator[Row]:
    """What tokens gain on none against an attacker."""
    bar = None if reported else 0.0
    if met.kept and met.gain_kept:
        yield _row(claim, f"{words}: cosine kept", met.kept, "correlation", met.pictures)
        yield _row(
            claim,
            f"{words}: cosine gained on none",
            met.gain_kept,
            "correlation",
            met.pictures,
            bar,
        )
    if met.gain_stands:
        words = f"{words}: right answers gained on none"
        yield _row(claim, words, met.gain_stands, "points", met.pictures, bar)


def _sweep_rows(found: Findings) -> Iterator[Row]:
    for each in found.swept:
        count = "1 token" if each.tokens == 1 else f"{each.tokens} tokens"
        words = f"{count}, {each.steps} steps: cosine kept, "
        yield _row("Be", f"{words}transfer", each.transfer, "correlation", found.about.few)
        yield _row("Be", f"{words}adaptive", each.adaptive, "correlation", found.about.few)


def _inside_rows(looks: Looks) -> Iterator[Row]:
    """Activations, outlier columns and kept patches, with tokens and without."""
    clean, hit = looks["public", "clean"], looks["public", "transfer"]
    armed, armed_hit = looks["private", "clean"], looks["private", "transfer"]
    n = len(clean.largest)
    grown = [
        (after.largest.amax(1) / before.largest.amax(1)).log()
        for before, after in ((clean, hit), (armed, armed_hit))
    ]
    words = "largest activation, attacked / untouched"
    yield _row("Bd", f"{words}, without tokens", _geometric(grown[0]), "ratio", n, 1)
    yield _row("Bd", f"{words}, with tokens", _geometric(grown[1]), "ratio", n)
    less = _geometric(grown[1] - grown[0])
    yield _row("Bd", f"{words}, with / without tokens", less, "ratio", n, below=1)
    for told, plain, with_tokens in (("untouched", clean, armed), ("attacked", hit, armed_hit)):
        pairs = {
            "outlier columns": (plain.outliers.sum(1), with_tokens.outliers.sum(1)),
            "outlier columns but for the tokens' own": (
                plain.outliers.sum(1),
                with_tokens.spared.sum(1),
            ),
        }
        if plain.kept is not None and with_tokens.kept is not None:
            pairs["patches that sampling keeps"] = plain.kept.sum(1), with_tokens.kept.sum(1)
        for what, (before, after) in pairs.items():
            yield _row(
                "Bf", f"{told}: {what}, with / without tokens", _ratio(before, after), "ratio", n
            )


def _geometric(logs: Tensor) -> Estimate:
    exact = logs.double()
    return bootstrap(lambda w: ((w @ exact) / w.sum(1)).exp(), len(exact))


def _ratio(before: Tensor, after: Tensor) -> Estimate:
    """Of the means."""
    one, other = before.double(), after.double()
    return bootstrap(lambda w: (w @ other) / (w @ one), len(one))


def _row(
    claim: str,
    statement: str,
    measured: Estimate,
    unit: Unit,
    pictures: int,
    above: float | None = None,
    below: float | None = None,
) -> Row:
    plain = Estimate(measured.value, measured.low, measured.high)
    if below is not None:
        said = verdict(Estimate(-plain.value, -plain.high, -plain.low), -below)
        return Row(claim, statement, plain, unit, f"below {below:g}", said, pictures)
    expected = "reported" if above is None else f"above {above:g}"
    return Row(claim, statement, plain, unit, expected, verdict(plain, above), pictures)
