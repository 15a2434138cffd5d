"""A paper is a value: what it claims of photographs, and what it shows of one picture.

A paper brings one folder here and one line in the catalog. Commands with their options, JSON,
Markdown and kept studies follow from the knobs of its settings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from types import NoneType
from typing import Any

from PIL import Image

from engine.core import placement
from engine.core.knobs import Knobbed
from engine.evaluate.claim import Row
from engine.evaluate.progress import Progress
from engine.evaluate.study import Study
from engine.model import zoo

Events = Iterator[Any]


@dataclass(frozen=True)
class Photographs:
    """What claims are measured on: a folder of labelled pictures (`limit` of them, even over the
    classes, chosen by `seed`), the model attacked, and the models that the results are shown to.

    `keep` is a folder from which a run that was killed goes on; `label` leaves out all other classes.
    """

    folder: Path
    model: str
    targets: tuple[str, ...] = ()
    limit: int | None = None
    seed: int = 0
    batch: int = 32
    weights: Path | None = None
    keep: Path | None = None
    label: int | None = None


@dataclass(frozen=True)
class Exhibit:
    """What a comparison is made on: one picture, the model attacked, and the models it is shown to.

    `label` is the true class; None takes the model's own answer.
    """

    image: Image.Image
    name: str
    model: str
    targets: tuple[str, ...] = ()
    label: int | None = None
    seed: int = 0
    weights: Path | None = None

    @property
    def models(self) -> tuple[str, ...]:
        """Every model that it needs once, the one attacked first."""
        return tuple(dict.fromkeys((self.model, *self.targets)))

    @property
    def identity(self) -> dict[str, Any]:
        """What tells the picture from all others: SHA-256 is of its 8-bit RGB rows."""
        plain = self.image.convert("RGB")
        digest = hashlib.sha256(plain.tobytes()).hexdigest()
        return {"name": self.name, "width": plain.width, "height": plain.height, "sha256": digest}


@dataclass(frozen=True)
class Brief:
    """A measurement for who waits for it: the dear parts are left out.

    `gradients` is about the work on a picture, in gradients at it, all other passes included; `targets`
    are the other models that it speaks of.
    """

    settings: Any
    gradients: int
    targets: tuple[str, ...] = ()


@dataclass(frozen=True)
class OnPhotographs:
    """How claims are measured: `measure(Photographs, settings)` yields Progress and Rows.

    It may also yield one value of type `findings`, a dataclass, which is kept beside the rows.
    `targets`: it speaks of other models, which must be named. `resumes`: it can go on from `keep`.
    `brief(model, weights, steps)` is the measurement with attacks of so many steps; it raises BadTask
    where the model is none for it.
    """

    settings: type[Knobbed]
    measure: Callable[[Photographs, Any], Events]
    findings: type[Any] = NoneType
    targets: bool = False
    resumes: bool = False
    brief: Callable[[str, Path | None, int], Brief] | None = None


@dataclass(frozen=True)
class OnPicture:
    """How one picture is compared: `run(Exhibit, settings)` yields Progress, and last the result.

    `summary` of the exhibit and the result is plain data, `markdown` of the result a table.
    `answers`: it is about answers, so that the true class and other models may be named.
    """

    settings: type[Knobbed]
    run: Callable[[Exhibit, Any], Events]
    summary: Callable[[Exhibit, Any], dict[str, Any]]
    markdown: Callable[[Any], str]
    answers: bool = False


@dataclass(frozen=True)
class ForAnyPicture:
    """How one perturbation for any picture is trained: `train(Photographs, settings, out, resume)`
    saves it in `out`, or where it would ship, after every epoch, and goes on from there to `resume`.

    It yields Progress, and last the finished `Universal`.
    """

    settings: type[Knobbed]
    train: Callable[[Photographs, Any, Path | None, bool], Events]


@dataclass(frozen=True)
class Says:
    """A claim in short, and where its paper makes it; where no paper does, whose question it is."""

    claim: str
    where: str


@dataclass(frozen=True)
class Told:
    """What the results say beside a paper's rows: how these came about, further sections, and what
    the README keeps of it (sentences, or a table)."""

    about: str = ""
    more: Callable[[], str] = str
    findings: Callable[[], Iterable[str]] = tuple


@dataclass(frozen=True)
class Paper:
    """A system: `name` is its word on the command line and in the names of its studies.

    `says` has the claims by the letters that stand in its rows.
    """

    name: str
    short: str
    title: str
    reference: str
    claims: OnPhotographs
    compare: OnPicture
    told: Told = Told()
    universal: ForAnyPicture | None = None
    says: Mapping[str, Says] = field(default_factory=dict[str, Says])


def beside(model: str, weights: Path | None) -> tuple[str, ...]:
    """The other classifiers on this machine that know the same classes."""
    own = zoo.class_names(zoo.card(model, weights))
    return tuple(
        each.name
        for each in zoo.cards(weights)
        if each.name != model
        and each.task == "classify"
        and zoo.available(each) == "here"
        and zoo.class_names(each) == own
    )


def study(
    name: str, asked: Photographs, settings: Mapping[str, Any], found: Iterable[Any]
) -> Study[Any]:
    """What a measurement yielded, as the study that is kept."""
    events = [each for each in found if not isinstance(each, Progress)]
    findings = [each for each in events if not isinstance(each, Row)]
    about = {
        "folder": asked.folder.name,
        "targets": list(asked.targets),
        "limit": asked.limit,
        "seed": asked.seed,
        "batch": asked.batch,
        "settings": dict(settings),
        "device": placement.describe(placement.device()),
        "versions": {name: version(name) for name in ("torch", "timm")},
    }
    cards = [zoo.card(each, asked.weights) for each in dict.fromkeys((asked.model, *asked.targets))]
    weights = {each.name: _sha256(each, asked.weights) for each in cards}
    return Study(
        name,
        asked.model,
        {name: known for name, known in weights.items() if known},
        about,
        tuple(each for each in events if isinstance(each, Row)),
        findings[-1] if findings else None,
    )


def _sha256(of: zoo.Card, weights: Path | None) -> str:
    """Of a model's file: its card's word, or read from the folder of local weights."""
    folder = zoo.weights_folder(weights)
    if of.source != "local" or folder is None:
        return of.sha256
    return hashlib.sha256((folder / f"{of.name}.safetensors").read_bytes()).hexdigest()
