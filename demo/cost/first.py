"""The report that stands on the page before anyone presses Run: `python -m demo.cost.first`.

It is the page's default run. Its times are of the machine that made it, which the chart names.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

from demo import pictures
from demo import stored as files
from demo.cost.message import message, study
from demo.cost.trial import EPS, STEPS, Trial, drive, trial
from engine.evaluate import quant_report
from engine.evaluate.quant_report import PUBLISHED, SHARE
from engine.model import zoo

FILE = "first_cost.json"


def question(weights: Path | None = None) -> Trial | None:
    """The first sample, attacked on the first bundled model at its calibrated threshold."""
    shown = pictures.listed()
    here = [each.name for each in zoo.cards(weights) if each.source == "bundled"]
    if not shown or not here:
        return None
    values = {
        "source": pictures.SAMPLE + shown[0].id,
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
    """What was computed earlier, if it was with the very model and code that are here."""
    asked = question(weights)
    found = None if asked is None else files.read(FILE, made_of(asked))
    return found and found | {"study": study(found["model"]["name"])}


def made_of(asked: Trial) -> str:
    """A hash of the model's weights and of what measures and packs the report."""
    code = (quant_report.__file__, Path(__file__).with_name("message.py"))
    return files.made_of([asked.model], code, asked.weights)


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
