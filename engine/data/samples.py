"""The gallery: pictures rendered by this project and free photographs that a dependency ships."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

from PIL import Image

from engine.core.assets import ASSETS
from engine.core.errors import UnknownName
from engine.data.decode import decode

_RENDERED = ASSETS / "samples"


@dataclass(frozen=True)
class Sample:
    """One picture of the gallery: what it is, whose it is, and where its file lies.

    `label` is what it shows as `engine.data.labels.imagenet_names` spells it; None where ImageNet
    has no class for it.
    """

    id: str
    title: str
    label: str | None
    credit: str
    licence: str
    kind: Literal["rendered", "photograph"]
    path: Path


@lru_cache(maxsize=1)
def samples() -> tuple[Sample, ...]:
    """All samples in display order: the rendered ones first, then the photographs."""
    return _rendered() + _photographs()


def load_sample(id: str) -> Image.Image:
    """The sample's picture as 8-bit RGB; raises `UnknownName`."""
    by_id = {sample.id: sample for sample in samples()}
    if id not in by_id:
        raise UnknownName("sample", id, tuple(by_id))
    return decode(by_id[id].path)


def pictures() -> list[Image.Image]:
    """All sample pictures that are here, in display order."""
    return [load_sample(each.id) for each in samples() if each.path.is_file()]


def others(than: Image.Image) -> list[Image.Image]:
    """All of them but this picture."""
    own = than.tobytes()
    return [each for each in pictures() if each.tobytes() != own]


def _rendered() -> tuple[Sample, ...]:
    gallery = _RENDERED / "gallery.json"
    listed = json.loads(gallery.read_text(encoding="utf-8")) if gallery.is_file() else []
    return tuple(
        Sample(
            id=each["id"],
            title=each["title"],
            label=each["label"],
            credit=f"rendered by python -m assets.samples.render ({each['label']})",
            licence="Apache-2.0",
            kind="rendered",
            path=_RENDERED / f"{each['id']}.png",
        )
        for each in listed
    )


def _photographs() -> tuple[Sample, ...]:
    """Photographs inside the scikit-image wheel, read in place: nothing is copied or fetched.

    Credits and licences are those of the docstrings of `skimage.data` (scikit-image 0.26).
    """
    folder = Path(str(files("skimage"))) / "data"
    return tuple(
        Sample(
            id, title, label, f"{credit}, via scikit-image", licence, "photograph", folder / file
        )
        for id, title, label, credit, licence, file in (
            ("coffee", "Coffee", "espresso", "Rachel Michetti", "CC0", "coffee.png"),
            ("cat", "Cat", "tabby", "Stéfan van der Walt", "CC0", "chelsea.png"),
            ("camera", "Cameraman", None, "Lav Varshney", "CC0", "camera.png"),
            # ImageNet's missile carries a warhead; this rocket carries a satellite.
            ("rocket", "Rocket", None, "SpaceX", "public domain", "rocket.jpg"),
            ("astronaut", "Astronaut", None, "NASA", "public domain", "astronaut.png"),
        )
    )
