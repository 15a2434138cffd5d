"""What is told of TGR: its parts, one by one, and how its claims fared."""

from __future__ import annotations

from collections.abc import Iterator
from types import NoneType

from engine.evaluate.claim import table
from engine.evaluate.words import percent, points
from engine.papers.tgr import gains
from engine.papers.tgr.ablation import Entry, Parts, RandomTokens
from engine.papers.told import count, listed, ratio, studies, titles

ABOUT = (
    "`python -m engine claims tgr FOLDER --model NAME --targets ...`. Differences of the attack "
    "success rate in points, rates, and ratios to MI-FGSM; equal gradient budgets but where said. "
    "Targets without attention count as CNNs."
)


def findings() -> Iterator[str]:
    """How TGR's claims fared, and what is surest of them."""
    for each in gains.findings(None):
        yield f"**TGR’s parts.** {each}"
    of = studies("tgr", NoneType)
    names = titles(of)
    for each in of:
        rows = {row.statement: row.measured for row in each.claims}
        calm = rows["dispersion of gradients, TGR / MI-FGSM"]
        yield (
            f"**TGR’s claims on {names[each.model]}.** {each.about['limit']} photographs: {count(each)}. "
            f"The dispersion of its gradients, which no factor can feign, is {ratio(calm)} of MI-FGSM's."
        )


def parts() -> str:
    """The ablations, setting by setting, and what follows from them."""
    of = studies("tgr_ablation", Parts)
    names = titles(of)
    places = [(each, eps) for each in of for eps in gains.BUDGETS]
    settings = dict.fromkeys(it.words for each in of for it in each.findings.entries)
    columns = {"setting": list(settings)}
    for each, eps in places:
        known = {it.words: it for it in each.findings.at(eps)}
        columns[f"{names[each.model]}, {eps}/255"] = [_gain(known.get(word)) for word in settings]
    about = [
        f"{names[each.model]} to {listed([names[it] for it in each.about['targets']])}: "
        f"{each.findings.entries[0].images} photographs of `{each.about['folder']}`, "
        f"{each.findings.entries[0].pictures} of them known to at least one target."
        for each in of
    ]
    follows = [said for each in of for said in _follows(names[each.model], each.findings)]
    whole = [f"In whole points. {said}" for said in gains.findings(None)]
    return (
        "## TGR, part by part\n\n`python -m engine ablate`. Attack success rate on other models minus "
        "that of MI-FGSM at the same budget, in points, with paired bootstraps over pictures; clean "
        f"errors excluded, 10 steps, judged on 8-bit pixels. {' '.join(about)}\n\n{table(columns)}\n"
        f"What follows:\n\n{''.join(f'- {said}{chr(10)}' for said in (*follows, *whole))}"
    )


def _gain(entry: Entry | None) -> str:
    if entry is None:
        return ""
    if entry.words == "MI-FGSM":
        return f"success {percent(entry.rate)}"
    return points(entry.gain, 1)


def _follows(name: str, parts: Parts) -> Iterator[str]:
    """What a study says of the parts, in sentences that its figures allow."""
    one = {"attention": 1.0, "qkv": 1.0, "mlp": 1.0}
    for eps in gains.BUDGETS:
        both, factors, zeroing = (parts.find(eps, **k) for k in ({}, {"k": 0}, one))
        if both and factors and zeroing:
            alone = min(factors.gain.value, zeroing.gain.value)
            if alone > 0 > both.gain.high:
                yield (
                    f"On {name} at {eps}/255 factors alone ({points(factors.gain, 1)}) and zeroing "
                    f"alone ({points(zeroing.gain, 1)}) gain, and their product loses "
                    f"({points(both.gain, 1)})."
                )
            elif both.gain.low > 0:
                yield f"On {name} at {eps}/255 TGR as published gains {points(both.gain, 1)}."
        mlp, rest = (parts.find(eps, components=it) for it in ("mlp", "attention+qkv"))
        if mlp and rest and mlp.gain.value < rest.gain.value:
            yield (
                f"On {name} at {eps}/255 the MLP's rule alone gains {points(mlp.gain, 1)}, attention "
                f"and QKV together {points(rest.gain, 1)}."
            )
    if any(parts.find(eps, name=RandomTokens.name) for eps in gains.BUDGETS):
        yield f"On {name}: {gains.tokens(parts)}"
