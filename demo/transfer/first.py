"""The heat map on the page before anyone presses Run: `python -m demo.transfer.first FOLDER`.

Twenty-one samples are too few to tell attacks apart, so what stands there first is every
bundled classifier against every other on a folder of photographs (`val` of Imagenette for the file
that ships), at the papers' budget. It is shown only while the weights are those it was measured on.
"""

from __future__ import annotations

import argparse
import math
import sys
from functools import cache
from pathlib import Path
from typing import Any

from tqdm import tqdm

from demo.kit import stored as files
from demo.transfer.labelled import Labelled
from demo.transfer.message import DONE, message
from demo.transfer.trial import Trial, at_one_budget, drive, experiment
from engine.attack.recipes.mifgsm import MIFGSM
from engine.attack.recipes.tgr import TGR
from engine.core.errors import EngineError
from engine.evaluate.evaluate import folder_pictures
from engine.evaluate.progress import Progress
from engine.model import zoo

FILE = "first_transfer.json"
EPS, STEPS = 16, 10


def names() -> tuple[str, ...]:
    """The bundled classifiers: each is a source and a target."""
    found = (each for each in zoo.cards() if each.source == "bundled" and each.task == "classify")
    return tuple(each.name for each in found)


@cache
def stored() -> dict[str, Any] | None:
    """The map that was measured earlier, if it was with the very weights that are here."""
    return files.read(FILE, made_of())


def made_of() -> str:
    """A hash of the models' weights and of what packs the map."""
    return files.made_of(names(), [Path(__file__).with_name("message.py")])


def main(words: list[str] | None = None) -> int:
    """Measure and write the map."""
    parser = argparse.ArgumentParser(prog="python -m demo.transfer.first", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--limit", type=int, default=100, help="so many, even over the classes")
    parser.add_argument("--name", default="Imagenette’s val", help="what the folder is")
    asked = parser.parse_args(words)
    try:
        pictures = folder_pictures(asked.folder, zoo.load(names()[0]), asked.limit, 0)
        recipes = at_one_budget((MIFGSM.name, TGR.name), EPS, STEPS)
        of = Labelled(pictures, len(pictures))
        trial = Trial(experiment(of, names(), recipes, names(), 0), of, id="first")
        with tqdm(unit="step") as bar:
            for event in drive(trial, math.inf):
                if isinstance(event, Progress):
                    bar.total, bar.n = event.total, event.done
                    bar.refresh()
    except EngineError as problem:
        print(f"transfer.first: {problem}", file=sys.stderr)
        return 2
    made = message(trial, DONE)
    classes = len({each.label for each in pictures})
    made["of"] = (
        f"Measured earlier: {len(pictures)} photograph{'s' * (len(pictures) != 1)} of {asked.name}, "
        f"{classes} class{'es' * (classes != 1)}"
    )
    files.write(FILE, made_of(), made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
