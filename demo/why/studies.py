"""Stored ablation studies of a source, as `python -m engine ablate --out` writes them."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from demo.transfer.message import points, shorts
from engine.model import zoo
from engine.papers.quant.study import STUDIES
from engine.papers.tgr.ablation import SCHEMA

log = logging.getLogger(__name__)

BUDGETS = (8, 16)
EQUAL = 0.005  # half a point: with 60 pictures one more is 1.7 points on one target
ONE = {"attention": 1.0, "qkv": 1.0, "mlp": 1.0}
PUBLISHED = {"attention": 0.25, "qkv": 0.75, "mlp": 0.5}


def study(source: str, weights: Path | None, folder: Path = STUDIES) -> dict[str, Any] | None:
    """Gains on MI-FGSM by budget, largest first; None where there is no study of this schema."""
    titles = {each.name: each.title for each in zoo.cards(weights)}
    data = _read(folder / _name(source)) if source in titles else None
    if data is None:
        return None
    panels = [
        {"eps": eps, "rows": rows} for eps in BUDGETS if (rows := _rows(data["entries"], eps))
    ]
    return {
        "source": titles[source],
        "targets": [titles.get(each, each) for each in data.get("targets", ())],
        "pictures": data["entries"][0]["images"],
        "known": data["entries"][0]["pictures"],
        "panels": panels,
        "tokens": tokens(data["entries"]),
    }


def findings(weights: Path | None, folder: Path = STUDIES) -> list[str]:
    """For each study, what TGR and its factors alone gain on MI-FGSM at each budget."""
    found = [(path, _read(path)) for path in sorted(folder.glob(_name("*")))]
    return [_finding(data, weights) for _, data in found if data is not None]


def _finding(data: dict[str, Any], weights: Path | None) -> str:
    titles = {each.name: each.title for each in zoo.cards(weights)}
    names = (data["source"], *data["targets"])
    brief = shorts({name: titles.get(name, name) for name in names})
    gains = [
        f"{title} " + " and ".join(f"{points(each['gain'])} at {eps}/255" for eps, each in found)
        for title, k in (("TGR", 1), ("TGR, factors only", 0))
        if (found := [(eps, it) for eps in BUDGETS if (it := published(data["entries"], eps, k))])
    ]
    return (
        f"Gain on MI-FGSM made on {brief[data['source']]}, mean success on "
        f"{', '.join(brief[each] for each in data['targets'])} (points, "
        f"{data['entries'][0]['images']} photographs): {'; '.join(gains)}."
    )


def tokens(entries: list[dict[str, Any]]) -> str:
    """Whether it matters that the tokens are the extreme ones: TGR beside the random control."""
    said: list[str] = []
    for eps in BUDGETS:
        own, random = (published(entries, eps, 1, name) for name in ("tgr", "tgr_random"))
        if own is None or random is None:
            continue
        pair = [each["gain"] for each in (own, random)]
        said.append(
            f"At {eps}/255 TGR gains {points(pair[0], 1)} points, and {points(pair[1], 1)} with as "
            f"many random tokens zeroed instead of the extreme ones: {_told(*pair)}."
        )
    return " ".join(said)


def _told(own: list[float], random: list[float]) -> str:
    if abs(own[0] - random[0]) < EQUAL:
        return "the same, whichever tokens are zeroed"
    if own[1] <= random[2] and random[1] <= own[2]:
        return "the intervals overlap, so it is open whether the extreme tokens matter"
    return f"the extreme tokens {'help' if own[0] > random[0] else 'hurt'}"


def published(
    entries: list[dict[str, Any]], eps: int, k: int, name: str = "tgr"
) -> dict[str, Any] | None:
    """The entry of TGR as published but for k, or of a relative of that name."""
    own = {"name": name, "k": k, "components": "all", "site": "scores", **PUBLISHED}
    return next(
        (
            each
            for each in entries
            if abs(each["eps_255"] - eps) < 1e-6 and own.items() <= each["recipe"].items()
        ),
        None,
    )


def _name(source: str) -> str:
    return f"tgr_ablation_{source}.json"


def _read(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        schema = data.get("schema")
    except (OSError, ValueError, AttributeError, RecursionError) as damage:
        log.warning("%s could not be read (%s)", path.name, type(damage).__name__)
        return None
    if schema != SCHEMA:
        log.warning("%s is not of the schema %s", path.name, SCHEMA)
        return None
    return data


def _rows(entries: list[dict[str, Any]], eps: float) -> list[dict[str, Any]]:
    found = [
        {
            "role": role(each["recipe"]),
            "text": text(each["recipe"]),
            "gain": each["gain"],
            "rate": each["rate"],
            "p": each["p"],
        }
        for each in entries
        if abs(each["eps_255"] - eps) < 1e-6
    ]
    return sorted(found, key=lambda each: -each["gain"][0])


def role(recipe: dict[str, Any]) -> str:
    """Which of the page's variants a setting is."""
    if recipe["name"] == "mifgsm":
        return "baseline"
    if recipe["name"] == "tgr_random":
        return "random"
    if recipe["k"] == 0:
        return "gamma"
    return "zeroing" if _factors(recipe) == ONE else "both"


def text(recipe: dict[str, Any]) -> str:
    """A setting in a few words."""
    if recipe["name"] == "mifgsm":
        return "MI-FGSM"
    factors, parts = (
        _factors(recipe),
        recipe["components"].replace("+", " + ").replace("mlp", "MLP"),
    )
    words = [parts.replace("qkv", "QKV"), f"k {recipe['k']}"]
    if factors == ONE:
        words.append("no factors")
    elif factors != PUBLISHED:
        words.append("factors " + "/".join(f"{each:g}" for each in factors.values()))
    if recipe["name"] == "tgr_random":
        words.append("random tokens")
    if recipe["site"] == "map":
        words.append("on the map")
    if recipe.get("spare", "nothing") != "nothing":
        words.append(f"{recipe['spare']} spared")
    return ", ".join(words)


def _factors(recipe: dict[str, Any]) -> dict[str, float]:
    return {part: float(recipe[part]) for part in ONE}
