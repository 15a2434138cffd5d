"""What a transfer map says, in sentences: means over the models that an attack was not made on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.evaluate.interval import Estimate
from engine.evaluate.words import apart, percent, points, signed

PAPERS_EPS = 16 / 255
FEW = 32


@dataclass(frozen=True)
class Mean:
    """An attack's mean success rate over the other models that knew any of the pictures.

    known: pictures that one of them had right. Where the attack `on` (MI-FGSM) was made as well:
    gain, in shares, and p of McNemar, both paired by picture; same: they fool alike, each picture.
    """

    rate: Estimate
    targets: int
    known: int
    eps: float
    on: str = ""
    gain: Estimate | None = None
    p: float | None = None
    same: bool = False


@dataclass(frozen=True)
class Row:
    """One attack made on one source, both as they are called, with its mean."""

    source: str
    attack: str
    mean: Mean


def findings(rows: Sequence[Row], judged: int) -> list[str]:
    """One source in full; of several, where each attack gains on MI-FGSM. `judged`: pictures."""
    sources = tuple(dict.fromkeys(row.source for row in rows))
    compared = [row for row in rows if row.mean.gain is not None]
    if len(sources) == 1 or not compared:
        kept = ([row for row in rows if row.source == source] for source in sources)
        return [said for its in kept for said in _of_one(its, judged)]
    attacks = dict.fromkeys(row.attack for row in compared)
    return [_of_many([row for row in compared if row.attack == it], judged) for it in attacks]


def caution(pictures: int) -> str:
    """What few pictures are good for; nothing where they are many."""
    if pictures >= FEW:
        return ""
    told = "1 picture settles" if pictures == 1 else f"{pictures} pictures settle"
    return f"{told} little: mind the intervals"


def _of_one(rows: Sequence[Row], judged: int) -> list[str]:
    source, first = rows[0].source, rows[0].mean
    to = f"From {source} to {first.targets} other model{'s' * (first.targets != 1)}"
    if not any(row.mean.rate.value for row in rows):
        hint = " The transfer papers use 16/255." * (first.eps < PAPERS_EPS)
        return [f"{to}: no picture travels at this budget.{hint}"]
    rates = ", ".join(f"{row.attack} {percent(row.mean.rate)}" for row in rows)
    return [
        f"{to}, mean attack success rate: {rates}.",
        *(_against(row, row.mean.gain, judged) for row in rows if row.mean.gain is not None),
    ]


def _against(row: Row, gain: Estimate, judged: int) -> str:
    pair = f"{row.attack} against {row.mean.on} from {row.source}"
    if row.mean.same:
        return f"{pair}: the same models fooled on each of {judged} pictures."
    unsure = f"; {judged} pictures do not tell them apart" * (not apart(gain))
    return f"{pair}: {points(gain)} points (McNemar p = {row.mean.p:.2g}){unsure}."


def _of_many(rows: Sequence[Row], judged: int) -> str:
    """Where one attack gains on MI-FGSM, where it loses, where the pictures do not say."""
    kinds: dict[str, list[str]] = {
        "it fools more when made on": [],
        "it fools fewer when made on": [],
        "the two are not told apart when made on": [],
    }
    more, fewer, unsure = kinds.values()
    for row in rows:
        gain = row.mean.gain
        assert gain is not None
        kind = unsure if not apart(gain) else more if gain.value > 0 else fewer
        kind.append(f"{row.source} ({signed(gain.value)})")
    first = rows[0].mean
    number = f"{first.targets} " * (len({row.mean.targets for row in rows}) == 1)
    told = "; ".join(f"{words} {_and(named)}" for words, named in kinds.items() if named)
    return (
        f"{rows[0].attack} against {first.on}, mean attack success rate on the {number}other models "
        f"(points, {judged} pictures): {told}."
    )


def _and(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
