"""The report that stands on the page before anyone presses Run: `python -m demo.cost.first`.

It is the page's default run. Its times are of the machine that made it, not of the one that shows
it: the page says so, and gives that machine's name.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

from demo.cost.message import message, study
from demo.cost.trial import EPS, STEPS, Trial, drive, trial
from demo.kit import pictures
from demo.kit import stored as files
from engine.core.errors import EngineError
from engine.model import zoo
from engine.papers.quant import compare as quant_report
from engine.papers.quant import export as quant_export
from engine.papers.quant import threshold as quant_threshold
from engine.papers.quant.threshold import PUBLISHED, SHARE

FILE = "first_cost.json"


def question(weights: Path | None = None) -> Trial | None:
    """The first sample, attacked on the first bundled model at its calibrated threshold."""
    here = [each.name for each in zoo.cards(weights) if each.source == "bundled"]
    if not pictures.first() or not here:
        return None
    values = {
        "source": pictures.first(),
        "model": here[0],
        "attack": "count",
        "eps": EPS,
        "steps": STEPS,
        "calibrate": True,
        "share": SHARE * 100,
        "threshold": PUBLISHED,
    }
    return trial(values, weights, "")


def stored(weights: Path | None = None) -> dict[str, Any] | None:
    """What was computed earlier, if it was with the very model, pictures and code that are here.

    Raises StoredDamaged where the file is no such thing: the page starts without it, and says so.
    """
    asked = question(weights)
    if asked is None:
        return None
    found = files.read(FILE, made_of(asked))
    if FILE in files.problems:
        raise StoredDamaged(files.problems[FILE])
    return found and found | {"study": study(found["model"]["name"]), "earlier": True}


class StoredDamaged(EngineError):
    """A stored report that is cut or is something else."""


def made_of(asked: Trial) -> str:
    """A hash of the model's weights, the sample pictures, and what measures and packs the report."""
    modules = (quant_report, quant_threshold, quant_export)
    code = [Path(str(each.__file__)) for each in modules]
    code += [Path(__file__).with_name(name) for name in ("message.py", "trial.py")]
    shown = [each.path for each in pictures.listed()]
    return files.made_of([asked.model], [*code, *shown], asked.weights)


def main() -> int:
    """Make the default run and write what the page needs of it."""
    asked = question()
    if asked is None:
        print("cost.first: no model or no sample on this machine", file=sys.stderr)
        return 2
    for _ in drive(asked, patience=math.inf):
        pass
    assert asked.report is not None
    files.write(FILE, made_of(asked), message(asked, asked.report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
