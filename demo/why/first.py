"""The comparison that stands on the page before anyone presses Run: `python -m demo.why.first`.

It is the page's default question, answered by the engine with the bundled models and written with
a hash of the source's weights and of the code that made it; the page shows it only while those are
the weights and the code it has.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

from demo.kit import pictures
from demo.kit import stored as files
from demo.why.inquiry import Ended, Inquiry, Question, drive
from demo.why.message import ended, opened
from engine.attack import extremes
from engine.attack.recipes.tgr import TGR
from engine.model import zoo
from engine.papers.tgr import compare as why

FILE = "first_why.json"
ID = "first"


def question(weights: Path | None = None) -> Question | None:
    """The first sample, attacked on the first model, shown to the other bundled classifiers."""
    shown = pictures.listed()
    here = [
        each.name
        for each in zoo.cards(weights)
        if each.source == "bundled" and each.task == "classify"
    ]
    if not shown or not here:
        return None
    image = pictures.read(pictures.SAMPLE + shown[0].id)
    return Question(image, shown[0].id, here[0], tuple(here[1:]), TGR(), weights=weights)


def stored(weights: Path | None = None) -> dict[str, Any] | None:
    """What was computed earlier, if it was with the very model and code that are here."""
    asked = question(weights)
    return None if asked is None else files.read(FILE, made_of(asked))


def made_of(asked: Question) -> str:
    """A hash of the models' weights and of what reads and packs the comparison."""
    code = (why.__file__, extremes.__file__, Path(__file__).with_name("message.py"))
    return files.made_of((asked.source, *asked.targets), code, asked.weights)


def main() -> int:
    """Answer the default question and write what the page needs of it."""
    asked = question()
    if asked is None:
        print("why.first: no model or no sample on this machine", file=sys.stderr)
        return 2
    inquiry = Inquiry(asked, id=ID)
    last = [event for event in drive(inquiry, patience=math.inf) if isinstance(event, Ended)][-1]
    assert inquiry.case is not None
    message = opened(inquiry, inquiry.case) | ended(inquiry, last) | {"kind": "stored"}
    files.write(FILE, made_of(asked), message)
    return 0


if __name__ == "__main__":
    sys.exit(main())
