"""Stored ablation studies of a source, as `python -m engine ablate --out` writes them."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from engine.evaluate.ablation import SCHEMA
from engine.evaluate.quant_file import STUDIES
from engine.model import zoo

log = logging.getLogger(__name__)

BUDGETS = (8, 16)
ONE = {"attention": 1.0, "qkv": 1.0, "mlp": 1.0}
PUBLISHED = {"attention": 0.25, "qkv": 0.75, "mlp": 0.5}


def study(source: str, weights: Path | None, folder: Path = STUDIES) -> dict[str, Any] | None:
    """Gains on MI-FGSM by budget, largest first; None where there is no study of this schema."""
    titles = {each.name: each.title for each in zoo.cards(weights)}
    path = folder / f"tgr_ablation_{source}.json"
    if source not in titles or not path.is_file():
        return None
    data = json.loads(path.read_text(encoding="utf-8"))
    if data.get("schema") != SCHEMA:
        log.warning("%s is not of the schema %s", path.name, SCHEMA)
        return None
    panels = [
        {"eps": eps, "rows": rows} for eps in BUDGETS if (rows := _rows(data["entries"], eps))
    ]
    return {
        "source": titles[source],
        "targets": [titles.get(each, each) for each in data.get("targets", ())],
        "pictures": max(each["pictures"] for each in data["entries"]),
        "panels": panels,
    }


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
