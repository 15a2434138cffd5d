"""The run that stands on the page before anyone presses anything: the default request, computed by
the engine with the bundled model."""

from __future__ import annotations

import math
from pathlib import Path

from demo.kit import picture
from demo.kit import stored as files
from demo.kit.picture import Picture
from demo.kit.stored import Message, Stored, Told
from demo.lab import views
from demo.lab.running import Attempt, drive
from engine.attack.catalog import recipe
from engine.core.errors import EngineError
from engine.model import zoo
from engine.studio import Request, Stepped

ID = "first"
MOST_OTHERS = 3
EPS = 8 / 255
READ = {
    "attention": ("values", "rollout"),
    "gradients": ("variance", "dispersion", "kurtosis"),
    "gaps": ("quantiles",),
    "outliers": ("tokens",),
    "depth": ("cosine",),
    "tokens": ("kept",),
}
"""What is read of each view after the first step."""


def request(weights: Path | None = None) -> Request | None:
    """The default request: first model here, first sample, MI-FGSM at an eps nobody sees."""
    here = [
        each
        for each in zoo.cards(weights)
        if zoo.available(each) == "here" and each.task == "classify"
    ]
    if not picture.first() or not here:
        return None
    others = [each.name for each in here[1:] if each.source == "bundled"]
    return Request(
        Picture.of(picture.first()).image,
        here[0].name,
        recipe("mifgsm", eps=EPS),
        others=tuple(others[:MOST_OTHERS]),
        weights=weights,
    )


def stored(weights: Path | None = None) -> Message | None:
    """What was computed earlier for the views, if it was with the very model that is here."""
    asked = request(weights)
    return None if asked is None else files.read(RESULT.file, made_of(asked))


def made_of(asked: Request | None = None) -> str:
    """A hash of the models' weights, the picture and the settings."""
    asked = asked or _asked()
    return files.hashed(
        (asked.model, *asked.others),
        [picture.listed()[0].path],
        asked.weights,
        attack=asked.recipe.name,
        eps=asked.recipe.eps,
        steps=asked.recipe.steps,
        seed=asked.seed,
    )


def _asked() -> Request:
    asked = request()
    if asked is None:
        raise EngineError("There is no model or no sample on this machine.", "assets/ has both.")
    return asked


def make(told: Told, steps: int | None = None) -> Message:
    """The default run, or its first steps, as the views are told of it."""
    attempt = Attempt(_asked(), id=ID)
    for event in drive(attempt, steps, patience=math.inf):
        if isinstance(event, Stepped):
            told(event.step, event.steps)
    assert attempt.result is not None, "a run that nobody stops has a result"
    return views.payload(attempt.result, ID)


def figures(message: Message) -> dict[str, float]:
    """Loss and answer at the first two steps, and what every view shows after one."""
    found = {"loss": message["losses"][:2], "top": [each["p"] for each in message["tops"][:2]]}
    outliers = message["outliers"]
    found["outlier columns"] = outliers["frames"][1]["columns"][outliers["default"]]
    for view, keys in READ.items():
        frame = message[view]["frames"][1]
        found |= {f"{view} {key}": frame[key] for key in keys}
    return files.numbers(found)


RESULT = Stored("first_run.json", __name__, made_of, make, lambda: make(files.silent, 2), figures)
