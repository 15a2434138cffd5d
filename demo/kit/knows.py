"""What a model can know of a picture, in words: its classes, and whether the picture's is among them."""

from __future__ import annotations

from html import escape
from pathlib import Path

from demo.kit import picture
from demo.kit.picture import stranger
from engine.core.errors import EngineError
from engine.evaluate import familiar
from engine.model import zoo

FEW = 20


def knows(source: str, model: str, weights: Path | None, altered: bool = False) -> str:
    """What is said beside the picture: one line, and the model's classes behind it.

    How sure it is of them was measured on models as they are.
    """
    try:
        card = zoo.card(model, weights)
        names = zoo.class_names(card)
    except EngineError:
        return ""
    sample = picture.sample(source)
    listed = ", ".join(sorted(names, key=str.casefold)) if len(names) <= FEW else ""
    if listed and not altered and (measured := familiar.of(card)) is not None:
        listed += (
            f". It says that it is not sure for {measured.flags:.0%} of {measured.known:,} pictures "
            f"of these classes, and for {measured.catches:.0%} of {measured.strangers:,} of others."
        )
    if sample is None:
        told = f"This model knows {len(names):,} classes"
        told += " and nothing else" if listed else ", those of ImageNet"
        return _line(f"{told}.", listed, open_=bool(source))
    if stranger(source, model, weights):
        return _line(
            f"No class of this model fits “{sample.title}”: whatever it answers is wrong.",
            listed,
            "stranger",
        )
    return _line(f"“{sample.title}” is one of the {len(names):,} classes this model knows.", listed)


def few(model: str, weights: Path | None) -> bool:
    """Whether the model knows so few classes that most pictures are of none of them."""
    try:
        return zoo.card(model, weights).classes <= FEW
    except EngineError:
        return False


def _line(text: str, listed: str, kind: str = "known", open_: bool = False) -> str:
    if not listed:
        return f'<p data-knows="{kind}">{escape(text)}</p>'
    return (
        f'<details data-knows="{kind}"{" open" * open_}><summary>{escape(text)}</summary>'
        f"<p>{escape(listed)}</p></details>"
    )
