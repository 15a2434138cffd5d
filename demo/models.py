"""The models a visitor can choose, in words: where each comes from, how large, how good."""

from __future__ import annotations

from html import escape
from pathlib import Path

from engine.core.errors import EngineError
from engine.model import zoo
from engine.model.zoo import Card

PLACES = {"bundled": "Bundled", "local": "Weights folder", "hub": "Model hub"}


def choices(weights: Path | None) -> list[tuple[str, str]]:
    """(label, name) of every listed model, grouped by where it comes from."""
    return [(f"{each.title}  ·  {PLACES[each.source]}", each.name) for each in zoo.cards(weights)]


def others(model: str, weights: Path | None) -> list[tuple[str, str]]:
    """The models on this machine to which a result on `model` can be shown."""
    return [
        (each.title, each.name)
        for each in zoo.cards(weights)
        if each.name != model and zoo.available(each) == "here" and each.task == "classify"
    ]


def card(name: str, weights: Path | None) -> str:
    """What is known of a model, as one small table; or the sentence why nothing is."""
    try:
        found = zoo.card(name, weights)
        here = zoo.available(found) == "here"
    except EngineError as error:
        return f'<p class="card-error">{escape(error.sentence)}</p>'
    size = f"{found.params / 1e6:.1f} M parameters" if found.params else ""
    megabytes = f"{found.bytes / 1e6:.1f} MB" if found.bytes else ""
    facts = [found.family.replace("_", " "), size, megabytes]
    shape = [f"{found.input_size} px", f"{found.classes} classes", found.license]
    lines = [" · ".join(filter(None, facts)), " · ".join(filter(None, shape)), *measured(found)]
    if not here:
        lines.append("Fetched from the model hub at the first run.")
    return "".join(f"<p>{escape(line)}</p>" for line in lines)


def measured(found: Card) -> list[str]:
    """The card's own figures, each with what it was measured on."""
    figures = dict(found.measured)
    accuracy, images = figures.pop("val_accuracy", None), figures.pop("val_images", None)
    lines: list[str] = []
    if accuracy is not None:
        lines.append(f"{accuracy:.1%} right on {images} held-out pictures")
    lines += [
        f"{key.replace('_', ' ')}: {value:g}"
        for key, value in figures.items()
        if isinstance(value, int | float)
    ]
    return lines


def classes(name: str, weights: Path | None) -> list[str]:
    """The class names of a model, sorted for choosing; none where the model is unknown."""
    try:
        return sorted(zoo.class_names(zoo.card(name, weights)), key=str.casefold)
    except EngineError:
        return []
