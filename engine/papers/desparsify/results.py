"""What is told of DeSparsify: set by set beside the paper, budgets, other models, what helps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

from engine.attack.recipes.desparsify import DeSparsify
from engine.attack.universal import shipped_for
from engine.evaluate.claim import figure, table
from engine.evaluate.interval import Estimate
from engine.evaluate.study import Study
from engine.papers.desparsify.claims import ASLEEP
from engine.papers.desparsify.findings import Findings, Measured
from engine.papers.desparsify.published import gap
from engine.papers.told import listed, studies, titles

Kept: TypeAlias = Study[Findings]

ABOUT = (
    "`python -m engine claims desparsify FOLDER --model NAME`; a dense model's name means train-free "
    "ATS on it. Pictures are attacked, saved in 8 bits and shown to the model one by one; costs are "
    "multiply-accumulates, counted. The gap closed is (attacked - clean) / (dense - clean), a ratio "
    "of means as in the paper, whose Table 1 (DeiT-S, ImageNet, 16/255) stands beside. Some "
    "photographs set the detector, the others are measured; side experiments take the first few of "
    "those. Times are of one machine beside other work."
)
SETS = {
    "clean": "clean",
    "noise": "sign noise",
    "pgd": "PGD",
    "sponge": "Sponge",
    "slowformer": "SlowFormer's patch",
    DeSparsify.name: "DeSparsify",
    "no class term": "DeSparsify without class term",
    "ensemble": "DeSparsify on all mechanisms at once",
    "at the aim's budget": "DeSparsify at the aim's budget",
}
"""Sets of pictures in the order in which they are told; what ships for any picture follows."""


def findings() -> Iterator[str]:
    """What DeSparsify did, a line for each model, and why AdaViT resists in the paper only."""
    of = studies(DeSparsify.name, Findings)
    if not of:
        return
    names, about = _names(of), [each.findings.about for each in of]
    sets = [{its.name: its for its in each.findings.measured} for each in of]
    main, wide = ([its[name] for its in sets] for name in ("at the aim's budget", DeSparsify.name))
    noise = [its["noise"] for its in sets]
    capped = [each.findings.defended[0] for each in of]
    yield table(
        {
            "DeSparsify on": [names[each.model] for each in of],
            "photographs": [str(each.pictures) for each in main],
            "budget": [_eps(each.eps) for each in main],
            "GMACs, clean → attacked, dense": [
                f"{its['clean'].macs.value:.3f} → {hit.macs.value:.3f}, {each.dense:.3f}"
                for its, hit, each in zip(sets, main, about, strict=True)
            ],
            "gap closed": [figure(each.gap, "%") for each in main],
            "answers kept": [figure(each.kept, "%") for each in main],
            "gap closed at 16/255": [figure(each.gap, "%") for each in wide],
            "by sign noise of 16/255": [figure(each.gap, "%") for each in noise],
            "gap left by a cap at the clean mean": [figure(each.left, "%") for each in capped],
        }
    )
    yield from _why_adavit(of)


def sections() -> str:
    """The sets beside the paper's, the curve over budgets, transfer, what ships, what helps."""
    of = studies(DeSparsify.name, Findings)
    if not of:
        return ""
    parts: tuple[Callable[[Sequence[Kept]], str], ...] = (
        _sets,
        _budgets,
        _abroad,
        _for_any_picture,
        _defended,
        _bounds,
        _detected,
    )
    told = [f"- {each}\n" for each in (*_order(of), *_why_adavit(of))]
    return "## DeSparsify, set by set\n\n" + "\n".join((*(part(of) for part in parts), *told))


def _sets(of: Sequence[Kept]) -> str:
    names = _names(of)
    rows = [(each, its) for each in of for its in _ordered(each.findings.measured)]
    columns = {
        "model": [names[each.model] for each, _ in rows],
        "pictures": [SETS.get(its.name, its.name) for _, its in rows],
        "budget": [_eps(its.eps) for _, its in rows],
        "photographs": [str(its.pictures) for _, its in rows],
        "cost": [figure(its.macs, "GMACs") for _, its in rows],
        "tokens used": [figure(its.utilisation, "%") for _, its in rows],
        "gap closed": [figure(its.gap, "%") for _, its in rows],
        "paper": [_printed(each, its) for each, its in rows],
        "answers kept": [figure(its.kept, "%") for _, its in rows],
        "right answers": [figure(its.right, "%") for _, its in rows],
    }
    dense = [f"{names[each.model]} {each.findings.about.dense:.3f}" for each in of]
    return f"GMACs of a pass that spares nothing: {listed(dense)}.\n\n{table(columns)}"


def _budgets(of: Sequence[Kept]) -> str:
    names = _names(of)
    budgets = dict.fromkeys(each.eps for its in of for each in its.findings.curve)
    columns = {"budget": [_eps(each) for each in budgets]}
    for each in of:
        known = {point.eps: point for point in each.findings.curve}
        columns[names[each.model]] = [
            f"{figure(known[eps].gap, '%')} (noise {round(known[eps].noise.value, 1) + 0:.1f} %)"
            for eps in budgets
        ]
    few = listed([f"{names[each.model]} {each.findings.about.few}" for each in of])
    return (
        f"Gap closed, budget by budget (photographs: {few}; below 1/255, where a saved picture "
        f"cannot change, pixels are not rounded):\n\n{table(columns)}"
    )


def _abroad(of: Sequence[Kept]) -> str:
    names = _names(of)
    rows = [(each, its) for each in of for its in each.findings.abroad]
    columns = {
        "made on": [names[each.model] for each, _ in rows],
        "shown to": [its.title for _, its in rows],
        "gap closed there": [figure(its.gap, "%") for _, its in rows],
        "its answers kept": [figure(its.kept, "%") for _, its in rows],
    }
    at = listed(sorted({_eps(each.findings.about.eps) for each in of}))
    return f"The pictures of {at} in other models of the same host:\n\n{table(columns)}"


def _for_any_picture(of: Sequence[Kept]) -> str:
    names = _names(of)
    made = [
        (names[each.model], its, its.measured)
        for each in of
        for its in shipped_for(each.findings.about.model, DeSparsify.name)
        if its.measured
    ]
    if not made:
        return ""
    figures = [held.figures for _, _, held in made]
    columns = {
        "model": [name for name, _, _ in made],
        "made for any picture": [its.title for _, its, _ in made],
        "budget": [_eps(its.eps) for _, its, _ in made],
        "trained on, measured on": [f"{its.pictures}, {held.pictures}" for _, its, held in made],
        "GMACs, clean": [f"{each['GMACs'].clean:.3f}" for each in figures],
        "noise of equal size": [f"{each['GMACs'].noise:.3f}" for each in figures],
        "with it": [f"{each['GMACs'].attacked:.3f}" for each in figures],
        "gap closed": [f"{100 * each['gap closed'].attacked:.1f} %" for each in figures],
        "answers kept": [f"{100 * each['answers kept'].attacked:.1f} %" for each in figures],
    }
    return (
        "What ships for any picture (`python -m engine universal desparsify`), on photographs that "
        f"its training never saw:\n\n{table(columns)}"
    )


def _defended(of: Sequence[Kept]) -> str:
    names = _names(of)
    rows = [(each, its) for each in of for its in each.findings.defended]
    columns = {
        "model": [names[each.model] for each, _ in rows],
        "countermeasure": [its.name for _, its in rows],
        "cost, clean": [figure(its.clean, "GMACs") for _, its in rows],
        "cost, attacked": [figure(its.attacked, "GMACs") for _, its in rows],
        "gap left": [figure(its.left, "%") for _, its in rows],
        "change of accuracy": [figure(its.price, "points") for _, its in rows],
        "answers kept": [figure(its.kept, "%") for _, its in rows],
    }
    return f"Countermeasures, at the aim's budget:\n\n{table(columns)}"


def _bounds(of: Sequence[Kept]) -> str:
    names = _names(of)
    rows = [(each, its) for each in of for its in each.findings.bounds]

    def known(found: Estimate | None) -> str:
        return "" if found is None else figure(found, "GMACs")

    columns = {
        "model": [names[each.model] for each, _ in rows],
        "bound": [f"{its.bound:.0%} of tokens" for _, its in rows],
        "cannot exceed": [f"{its.ceiling:.3f} GMACs" for _, its in rows],
        "cost, clean": [figure(its.clean, "GMACs") for _, its in rows],
        "attacker does not know": [figure(its.blind, "GMACs") for _, its in rows],
        "attacker knows": [known(its.adaptive) for _, its in rows],
        "change of accuracy": [figure(its.price, "points") for _, its in rows],
        "answers kept": [figure(its.kept, "%") for _, its in rows],
    }
    return (
        "Bounds on the tokens of each block (the attack at the published budget, on the first "
        f"photographs; who knows of a bound attacks the bounded model):\n\n{table(columns)}"
    )


def _detected(of: Sequence[Kept]) -> str:
    names, found = _names(of), [each.findings.detected for each in of]
    columns = {
        "model": [names[each.model] for each in of],
        "area under ROC": [figure(its.area, "area") for its in found],
        "limit": [f"{its.limit / 1e9:.3f} GMACs" for its in found],
        "attacks caught": [figure(its.caught, "%") for its in found],
        "clean pictures flagged": [figure(its.flagged, "%") for its in found],
    }
    return f"The detector by cost, at the aim's budget:\n\n{table(columns)}"


def _order(of: Sequence[Kept]) -> Iterator[str]:
    """Which mechanism gives way most: the first model of each, beside the paper's."""
    names, first = _names(of), dict[str, tuple[str, Measured]]()
    for each in of:
        wide = next(its for its in each.findings.measured if its.name == DeSparsify.name)
        first.setdefault(each.findings.about.mechanism, (names[each.model], wide))
    if len(first) < 2:
        return
    ranked = sorted(first.values(), key=lambda each: -each[1].gap.value)
    here = listed([f"{name} {figure(its.gap, '%')}" for name, its in ranked])
    printed = {kind: gap(kind, DeSparsify.name) or 0 for kind in first}
    there = listed([f"{kind} {100 * printed[kind]:.0f} %" for kind in _falling(printed)])
    yield f"**Who gives way most** at {_eps(ranked[0][1].eps)}: {here}; in the paper {there}."


def _falling(values: Mapping[str, float]) -> list[str]:
    return sorted(values, key=lambda name: -values[name])


def _why_adavit(of: Sequence[Kept]) -> Iterator[str]:
    """Of AdaViT: what sleeps on every clean picture."""
    for each in of:
        if each.findings.about.mechanism != "AdaViT":
            continue
        rows = {row.statement: row.measured for row in each.claims}
        blocks, tokens, parts = (rows[words] for words in ASLEEP)
        woken = next((v for k, v in rows.items() if k.startswith("of those, woken")), None)
        awake = "" if woken is None else f"; the attack wakes {figure(woken, '%')} of these"
        yield (
            "**Why AdaViT resists in the paper.** There three of twelve blocks hold no token on any "
            "clean picture, and the attack does not wake them. "
            f"Ours, on {each.findings.about.pictures} clean photographs: {figure(blocks, 'count')} "
            f"such blocks; {figure(tokens, '%')} of tokens, block by block, and {figure(parts, '%')} "
            f"of heads and sub-layers are off on all of them{awake}."
        )


def _ordered(measured: Sequence[Measured]) -> list[Measured]:
    order = list(SETS)
    return sorted(
        measured, key=lambda its: order.index(its.name) if its.name in order else len(order)
    )


def _printed(study: Kept, its: Measured) -> str:
    name = its.name.partition(":")[0]
    name = "patch" if name == "universal patch" else name
    found = gap(study.findings.about.mechanism, name)
    return "" if found is None or name == "clean" else f"{100 * found:.0f} %"


def _names(of: Sequence[Kept]) -> Mapping[str, str]:
    """What the victims are called: "ATS on ViT", "A-ViT"."""
    plain = titles(of)
    kinds = {each.model: each.findings.about.mechanism for each in of}
    return {
        name: plain[name] if kind in plain[name] else f"{kind} on {plain[name]}"
        for name, kind in kinds.items()
    }


def _eps(eps: float) -> str:
    """A budget in words: of clean pictures none, of a patch any colour."""
    if eps in (0, 1):
        return "any colour" if eps else ""
    return f"{255 * eps:g}/255"
