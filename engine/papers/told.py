"""What the papers' results have in common: the studies that are kept, names, and lists in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.evaluate.claim import figure
from engine.evaluate.interval import Estimate
from engine.evaluate.study import STUDIES, Study, read
from engine.model import zoo
from engine.model.titles import shorts


def studies(name: str, kind: type[Any]) -> list[Study[Any]]:
    """All studies of that name, the bundled models' first."""
    return [read(path, kind) for path in paths(name, STUDIES)]


def paths(name: str, folder: Path) -> list[Path]:
    """Where the studies of that name lie, the bundled models' first."""
    found = (folder / f"{name}_{each}.json" for each in models())
    return [each for each in found if each.is_file()]


def titles(of: Sequence[Study[Any]]) -> dict[str, str]:
    """What the models of these studies are called among themselves."""
    names = {name for each in of for name in (each.model, *each.about["targets"])}
    return shorts({name: zoo.card(name).title.partition(":")[0] for name in names})


def models() -> tuple[str, ...]:
    """The bundled models, then the curated ones, whatever folder of weights is set."""
    return (*(each.name for each in zoo.cards() if each.source == "bundled"), *zoo.OFFERS)


def count(study: Study[Any]) -> str:
    """How many of a study's comparisons hold."""
    barred = [row for row in study.claims if row.verdict != "reported"]
    holds, fails = (sum(row.verdict == said for row in barred) for said in ("holds", "fails"))
    return f"{holds} of {len(barred)} comparisons hold, {fails} fail, the others stay open"


def measured_on(study: Study[Any], names: Mapping[str, str]) -> str:
    """On what a study was measured, its models called by these names."""
    about = study.about
    settings = {
        name: f"{255 * value:g}/255" if name in ("eps", "budget") else value
        for name, value in about["settings"].items()
    }
    to = f" to {listed([names[each] for each in about['targets']])}" if about["targets"] else ""
    knobs = ", ".join(
        f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in settings.items()
    )
    return f"{about['limit']} photographs of `{about['folder']}`{to}, {knobs}"


def ratio(found: Estimate) -> str:
    return figure(found, "ratio")


def listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
