"""What the stored ablations say: how much TGR and its parts gain on MI-FGSM, in sentences."""

from __future__ import annotations

import logging
from pathlib import Path

from engine.attack.recipes.mifgsm import MIFGSM
from engine.core.errors import CorruptWeights
from engine.evaluate.interval import Estimate
from engine.evaluate.study import STUDIES, Study, kept
from engine.evaluate.words import points
from engine.model import zoo
from engine.model.titles import shorts
from engine.papers.tgr.ablation import NONE, Entry, Parts, RandomTokens
from engine.papers.tgr.compare import Variant

log = logging.getLogger(__name__)

BUDGETS = (8, 16)
EQUAL = 0.005  # half a point: with 60 pictures one more is 1.7 points on one target
NAME = "tgr_ablation"


def study(source: str, folder: Path = STUDIES) -> Study[Parts] | None:
    """What was measured on a model; None where there is nothing that can be read."""
    if source not in _models(folder):
        return None
    try:
        return kept(NAME, source, Parts, folder)
    except CorruptWeights as damage:
        log.warning(damage.sentence)
        return None


def findings(weights: Path | None, folder: Path = STUDIES) -> list[str]:
    """For each study, what TGR and its factors alone gain on MI-FGSM at each budget."""
    titles = {each.name: each.title for each in zoo.cards(weights)}
    found = (study(model, folder) for model in _models(folder))
    return [_finding(each, titles) for each in found if each is not None]


def tokens(parts: Parts) -> str:
    """Whether it matters that the tokens are the extreme ones: TGR beside the random control."""
    said: list[str] = []
    for eps in BUDGETS:
        own, random = parts.find(eps), parts.find(eps, name=RandomTokens.name)
        if own is None or random is None:
            continue
        said.append(
            f"At {eps}/255 TGR gains {points(own.gain, 1)} points, and {points(random.gain, 1)} "
            "with as many random tokens zeroed instead of the extreme ones: "
            f"{_told(own.gain, random.gain)}."
        )
    return " ".join(said)


def variant(entry: Entry) -> Variant:
    """Which variant of a comparison a setting is."""
    name = entry.recipe["name"]
    if name == MIFGSM.name:
        return "baseline"
    if name == RandomTokens.name:
        return "random"
    if entry.recipe["k"] == 0:
        return "gamma"
    return "zeroing" if entry.factors == NONE else "both"


def _models(folder: Path) -> list[str]:
    return [each.stem.removeprefix(f"{NAME}_") for each in sorted(folder.glob(f"{NAME}_*.json"))]


def _finding(found: Study[Parts], titles: dict[str, str]) -> str:
    targets, parts = found.about["targets"], found.findings
    brief = shorts({name: titles.get(name, name) for name in (found.model, *targets)})
    gains = [
        f"{title} " + " and ".join(f"{points(each.gain)} at {eps}/255" for eps, each in its)
        for title, k in (("TGR", 1), ("TGR, factors only", 0))
        if (its := [(eps, it) for eps in BUDGETS if (it := parts.find(eps, k=k))])
    ]
    return (
        f"Gain on MI-FGSM made on {brief[found.model]}, mean attack success rate on "
        f"{', '.join(brief[each] for each in targets)} (points, "
        f"{parts.entries[0].images} photographs): {'; '.join(gains)}."
    )


def _told(own: Estimate, random: Estimate) -> str:
    if abs(own.value - random.value) < EQUAL:
        return "the same, whichever tokens are zeroed"
    if own.low <= random.high and random.low <= own.high:
        return "the intervals overlap, so it is open whether the extreme tokens matter"
    return f"the extreme tokens {'help' if own.value > random.value else 'hurt'}"
