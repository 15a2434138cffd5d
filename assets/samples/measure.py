"""How sure the bundled classifiers are of pictures, and how attacks made on one reach the others.

`python -m assets.samples.measure FOLDER` measures labelled photographs and writes
`photographs.json`; without a folder it measures the gallery in the same way and writes
`measured.json`. `tests/data/test_samples.py` asks that the gallery lie inside the photographs'
intervals, and measures the cheap part of it again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from engine.attack.recipe import Recipe
from engine.attack.recipes.mifgsm import MIFGSM
from engine.attack.recipes.tgr import TGR
from engine.data.samples import samples
from engine.evaluate.evaluate import folder_pictures
from engine.evaluate.interval import Estimate, bootstrap
from engine.evaluate.judge import shown
from engine.evaluate.jury import Jury
from engine.evaluate.progress import Progress
from engine.evaluate.transfer import (
    Experiment,
    Matrix,
    Picture,
    class_indices,
    pixels,
    settings,
    transfer,
)
from engine.model import zoo

FILE = Path(__file__).with_name("photographs.json")
GALLERY = Path(__file__).with_name("measured.json")
SOURCES = tuple(f"{name}_imagenette" for name in ("vit", "deit", "pit", "visformer", "resnet"))
ATTACKS = (MIFGSM(eps=16 / 255, steps=10), TGR(eps=16 / 255, steps=10))

Figures = dict[str, Estimate]


def figures(
    pictures: Sequence[Picture],
    attacks: Sequence[Recipe] = ATTACKS,
    sources: Sequence[str] = SOURCES,
) -> Mapping[str, Figures]:
    """For each source: `right`, `confidence`, and by each attack's name its transfer success.

    `right` is the share of clean pictures named rightly, `confidence` the mean of the highest
    softmax on clean pictures, transfer the mean over the four other models of the share fooled, of
    those it had right, on 8-bit pixels. Intervals are 95 % bootstraps over pictures.
    """
    matrix = _matrix(pictures, attacks, sources)
    found: dict[str, Figures] = {}
    for source in sources:
        jury = Jury(matrix, source, tuple(name for name in SOURCES if name != source))
        shares, right = clean(pictures, source)
        found[source] = {
            "right": _mean(right),
            "confidence": _mean(shares.max(1).values),
            **{attack.name: jury.rate(attack) for attack in attacks},
        }
    return found


def clean(pictures: Sequence[Picture], name: str) -> tuple[Tensor, Tensor]:
    """A model's softmax `(n, classes)` on the clean pictures, and whether each is right `(n,)`."""
    victim = zoo.load(name)
    with torch.no_grad():
        shares = torch.cat(
            [
                victim.logits(shown(each, victim))
                for each in pixels(pictures, victim.spec.input_size).split(1)
            ]
        ).softmax(-1)
    return shares, shares.argmax(1) == class_indices(pictures, victim)


def main() -> None:
    """Measure a folder of photographs, or the gallery, and write the file."""
    parser = argparse.ArgumentParser(prog="python -m assets.samples.measure", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", nargs="?")
    parser.add_argument("--limit", type=int, default=200, help="so many, even over the classes")
    parser.add_argument("--name", default="Imagenette's val", help="what the folder is")
    asked = parser.parse_args()
    if asked.folder is None:
        _write(GALLERY, {"pictures": drawn()}, gallery())
        return
    pictures = folder_pictures(asked.folder, zoo.load(SOURCES[0]), asked.limit, seed=0)
    said = f"{len(pictures)} photographs of {asked.name}, even over the classes"
    _write(FILE, {"pictures": said}, pictures)


def gallery() -> list[Picture]:
    """The rendered samples, which are labelled."""
    rendered = (each for each in samples() if each.kind == "rendered")
    return [Picture(each.path, str(each.label)) for each in rendered]


def drawn() -> dict[str, str]:
    """The gallery's files and their SHA-256, by which what was measured of them is known."""
    files = (Path(str(each.image)) for each in gallery())
    return {each.name: hashlib.sha256(each.read_bytes()).hexdigest() for each in files}


def measured_on() -> dict[str, Any]:
    """What the figures depend on beside the pictures."""
    return {
        "attacks": [settings(attack) for attack in ATTACKS],
        "weights": {name: zoo.card(name).sha256 for name in SOURCES},
    }


def _write(file: Path, about: Mapping[str, Any], pictures: Sequence[Picture]) -> None:
    made: dict[str, Any] = {
        **about,
        "measured": "on 8-bit pixels; intervals: 95 %, bootstrap over pictures",
        **measured_on(),
        "versions": {name: version(name) for name in ("torch", "timm")},
        "figures": {
            source: {name: asdict(value) for name, value in each.items()}
            for source, each in figures(pictures).items()
        },
    }
    file.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


def _matrix(
    pictures: Sequence[Picture], attacks: Sequence[Recipe], sources: Sequence[str]
) -> Matrix:
    experiment = Experiment(tuple(pictures), tuple(sources), tuple(attacks), SOURCES, batch=20)
    with tqdm(unit="step", disable=None) as bar:
        for event in transfer(experiment, zoo.load):
            if isinstance(event, Progress):
                bar.total, bar.n = event.total, event.done
                bar.refresh()
            else:
                return event
    raise AssertionError("transfer ends with a matrix")


def _mean(values: Tensor) -> Estimate:
    values = values.double()
    return bootstrap(lambda weights: weights @ values / len(values), len(values))


if __name__ == "__main__":
    main()
