"""The names of the thousand ImageNet classes, and how a folder's name is matched to a class."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from timm.data.imagenet_info import ImageNetInfo

from engine.core.errors import BadTask

# The three pairs of classes that WordNet calls by one word.
_TOLD_APART = {
    "n02012849": "crane (bird)",
    "n03126707": "crane (machine)",
    "n02113186": "Cardigan corgi",
    "n03710637": "maillot (tights)",
    "n03710721": "tank suit",
}


@lru_cache(maxsize=1)
def _synonyms() -> tuple[tuple[str, ...], ...]:
    """For each class its WordNet id, then all its names."""
    info = ImageNetInfo()
    descriptions = info.label_descriptions(detailed=False)
    return tuple(
        (wnid, *(name.strip() for name in str(description).split(",")))
        for wnid, description in zip(info.label_names(), descriptions, strict=True)
    )


@lru_cache(maxsize=1)
def imagenet_names() -> tuple[str, ...]:
    """One short name for each of the 1000 classes, in the order of the logits, no two alike."""
    return tuple(_TOLD_APART.get(names[0], names[1]) for names in _synonyms())


def folded(name: str) -> str:
    """A name without case, spaces, underscores, hyphens and other marks: "Golf_ball" = "golf ball"."""
    return re.sub(r"[\W_]+", "", name.casefold())


def spellings(class_names: Sequence[str]) -> dict[str, int]:
    """Every folded spelling under which a class may appear, and the class's index.

    A class answers to its own name and, where that name is one of ImageNet's, to the WordNet id
    and the synonyms ("n03445777", "church building"). What would fit two classes fits none, and a
    class's own name always wins over another's synonym.
    """
    own = {folded(name): index for index, name in enumerate(class_names)}
    entries = {folded(name): entry for entry, name in enumerate(imagenet_names())}
    borrowed: list[tuple[str, int]] = []
    for name, index in own.items():
        entry = entries.get(name)
        if entry is not None:
            borrowed += [(spelling, index) for spelling in map(folded, _synonyms()[entry])]
    claims = Counter(spelling for spelling, _ in set(borrowed))
    return {spelling: index for spelling, index in borrowed if claims[spelling] == 1} | own


def class_index(class_names: Sequence[str], name: str) -> int:
    """The class of that name or number; raises BadTask."""
    word = name.strip()
    if word.isdigit() and int(word) < len(class_names):
        return int(word)
    found = spellings(class_names).get(folded(word))
    if found is None:
        raise BadTask(
            f"This model has no class “{name}”.",
            f"It has, for instance, {', '.join(class_names[:10])}.",
        )
    return found
