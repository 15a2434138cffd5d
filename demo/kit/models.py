"""The models a visitor can choose, in words: where each comes from, how large, how good."""

from __future__ import annotations

from html import escape
from pathlib import Path

from engine.core.errors import EngineError
from engine.core.limits import megabytes
from engine.model import zoo
from engine.model.zoo import Card

PURPOSES = {"classify": "Classifier", "sparsify": "Fewer tokens", "robust": "Robust"}
PLACES = {"local": "Weights folder", "hub": "Model hub"}


def choices(weights: Path | None, reachable: bool = False) -> list[tuple[str, str]]:
    """(label, name) of every listed model, grouped by what it is for or where it comes from.

    What would have to be fetched is listed only where the hub is reachable, with its size.
    """
    found = zoo.cards(weights) if reachable else _here(weights)
    groups = list(dict.fromkeys([*PURPOSES.values(), *PLACES.values()]))
    return [
        (f"{group}  ·  {each.title}{_to_fetch(each)}", each.name)
        for group in groups
        for each in found
        if _group(each) == group
    ]


def hub_note(weights: Path | None, reachable: bool) -> str:
    """One line on the models that are not on this machine, or nothing where all are."""
    away = len(zoo.cards(weights)) - len(_here(weights))
    if not away:
        return ""
    models = f"{away} more model{'s' if away > 1 else ''}"
    if reachable:
        return f"{models} can be fetched from the Hugging Face hub, or any timm name that you type."
    verb = "are" if away > 1 else "is"
    return f"{models} {verb} on the Hugging Face hub, which cannot be reached from here."


def imagenet(weights: Path | None, reachable: bool) -> tuple[str, str] | None:
    """A model of ImageNet's thousand classes to offer: its name, and what a button says."""
    listed = zoo.cards(weights) if reachable else _here(weights)
    fit = [each for each in listed if each.classes == 1000]
    if not fit:
        return None
    best = min(fit, key=lambda each: zoo.available(each) != "here")
    size = f", {megabytes(best.bytes)} to fetch" if _to_fetch(best) else ""
    return best.name, f"Use {best.title}: 1,000 classes{size}"


def _here(weights: Path | None) -> list[Card]:
    return [each for each in zoo.cards(weights) if zoo.available(each) == "here"]


def _to_fetch(card: Card) -> str:
    return "" if zoo.available(card) == "here" else f"  ·  {megabytes(card.bytes)}"


def _group(card: Card) -> str:
    return PLACES.get(card.source) or PURPOSES[card.task]


def others(model: str, weights: Path | None, altered: bool = False) -> list[tuple[str, str]]:
    """The models on this machine to which a result on `model` can be shown: they share its classes.

    One that is altered may be compared with itself as it is.
    """
    try:
        classes = zoo.class_names(zoo.card(model, weights))
    except EngineError:
        return []
    return [
        (each.title + ", as it is" * (each.name == model), each.name)
        for each in _here(weights)
        if (altered or each.name != model) and zoo.class_names(each) == classes
    ]


def card(name: str, weights: Path | None, altered: bool = False) -> str:
    """What is known of a model, as one small table; or the sentence why nothing is.

    What was measured was measured on the model as it is, which is said where it is altered.
    """
    try:
        found = zoo.card(name, weights)
        here = zoo.available(found) == "here"
    except EngineError as error:
        return f'<p class="card-error">{escape(error.sentence)}</p>'
    size = f"{found.params / 1e6:.1f} M parameters" if found.params else ""
    bytes_ = megabytes(found.bytes) if found.bytes else ""
    facts = [size, bytes_, f"{found.input_size} px", f"{found.classes:,} classes"]
    whose = "As it is: " * altered
    lines = [" · ".join(filter(None, facts)), *(whose + each for each in measured(found))]
    if not here:
        lines.append("Fetched from the model hub at the first run.")
    told = escape(", ".join(filter(None, (found.family.replace("_", " "), found.license))))
    return "".join(f'<p title="{told}">{escape(line)}</p>' for line in lines)


def measured(found: Card) -> list[str]:
    """The card's own figures, each with what it was measured on."""
    told = found.measured
    lines: list[str] = []
    if "val_accuracy" in told:
        lines.append(f"{told['val_accuracy']:.1%} right on {told['val_images']} held-out pictures")
    if "token_utilisation" in told:
        lines.append(
            f"computes {told['token_utilisation']:.0%} of the tokens on them, "
            f"{told['gmacs']:.2f} of {told['base_gmacs']:.2f} billion multiplications a picture"
        )
    if "pgd20_accuracy" in told:
        lines.append(
            f"{told['pgd20_accuracy']:.1%} right under PGD-20 at {told['eps'] * 255:g}/255, "
            f"{told['pgd20_aas_accuracy']:.1%} with attention scaling as well, "
            f"on {told['robust_images']} of them"
        )
    return lines


def classes(name: str, weights: Path | None) -> list[str]:
    """The class names of a model, sorted for choosing; none where the model is unknown."""
    try:
        return sorted(zoo.class_names(zoo.card(name, weights)), key=str.casefold)
    except EngineError:
        return []
