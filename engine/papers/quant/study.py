"""The study of an int8 victim that ships: what a visit's few pictures cannot show, with its source.

`python -m engine claims quant FOLDER --model NAME --out FILE.json` writes it; the page reads it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from engine.core.errors import CorruptWeights
from engine.evaluate.interval import Estimate

SCHEMA = "vit-adversarial-lab/quant-study/1"
STUDIES = Path(__file__).parents[3] / "assets" / "studies"


@dataclass(frozen=True)
class About:
    """What was measured on what: `pictures` were measured, others calibrated; accuracies in %.

    `share` is the share of clean columns that set the threshold, 0 where the threshold was given.
    """

    model: str
    pictures: int
    calibration: int
    threshold: float
    share: float
    eps: float
    steps: int
    form: str
    device: str
    float_accuracy: float
    int8_accuracy: float


@dataclass(frozen=True)
class Rate(Estimate):
    """A mean in % (or points) over `pictures`; `agreed` where all said the same.

    Of pictures that all agree a bootstrap has no width, although the next one may differ. Then the
    exact bound stands: if more than 1 - 0.05^(1/n) of all pictures differed, n that agree would be
    drawn in fewer than 5 % of samples (Clopper and Pearson, one-sided).
    """

    pictures: int
    agreed: bool

    @staticmethod
    def of(found: Estimate, pictures: int, low: float = 0.0, high: float = 100.0) -> Rate:
        """The bootstrap where it has a width, else the exact bound; inside `low` to `high`."""
        if found.low < found.high:
            return Rate(found.value, found.low, found.high, pictures, agreed=False)
        most = 100 * (1 - 0.05 ** (1 / pictures))
        below, above = max(low, found.value - most), min(high, found.value + most)
        return Rate(found.value, below, above, pictures, agreed=True)

    @staticmethod
    def change(found: Estimate, pictures: int) -> Rate:
        """For a difference in points, which can go either way."""
        return Rate.of(found, pictures, low=-100.0)


@dataclass(frozen=True)
class Measured:
    """One set of pictures: outlier columns, % of multiplications outside int8, % of answers kept."""

    name: str
    columns: Estimate
    share: Estimate
    kept: Rate


@dataclass(frozen=True)
class Defended:
    """One countermeasure: its share outside int8 under attack over the undefended one (`left`), what
    it costs in accuracy on clean pictures (`price`, points), its accuracy under attack (%), and the
    share that it promises never to exceed, if it does."""

    name: str
    left: Estimate
    price: Rate
    attacked: Rate
    bound: float | None


@dataclass(frozen=True)
class Detected:
    """The detector by count: its ROC curve, the area under it, and one calibrated limit in use.

    At `limit`, calibrated for `alarm` (share) false alarms, `caught` % of attacks are flagged and
    `flagged` % of clean pictures.
    """

    false_alarms: tuple[float, ...]
    hits: tuple[float, ...]
    area: Estimate
    alarm: float
    limit: float
    caught: Rate
    flagged: Rate


Finding = About | Measured | Defended | Detected


@dataclass(frozen=True)
class Study:
    """All findings of one model."""

    about: About
    measured: tuple[Measured, ...]
    defended: tuple[Defended, ...]
    detected: Detected

    @staticmethod
    def of(findings: Iterable[Finding]) -> Study:
        """The study that these findings make up; the last About and Detected count."""
        kept = list(findings)
        return Study(
            [each for each in kept if isinstance(each, About)][-1],
            tuple(each for each in kept if isinstance(each, Measured)),
            tuple(each for each in kept if isinstance(each, Defended)),
            [each for each in kept if isinstance(each, Detected)][-1],
        )


def data(study: Study) -> dict[str, Any]:
    """The study as plain data, versioned."""
    return {"schema": SCHEMA, "intervals": "95 %", **asdict(study)}


def read(path: Path) -> Study:
    """A written study; raises CorruptWeights where the file is something else."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["schema"] != SCHEMA:
            raise ValueError(found["schema"])
        about = About(**_numbers(found["about"], About))
        pictures = about.pictures
        curve: dict[str, Any] = {
            k: tuple(map(float, found["detected"][k])) for k in ("false_alarms", "hits")
        }
        return Study(
            about,
            tuple(Measured(**_estimates(each, Measured, pictures)) for each in found["measured"]),
            tuple(Defended(**_estimates(each, Defended, pictures)) for each in found["defended"]),
            Detected(**(_estimates(found["detected"], Detected, pictures) | curve)),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CorruptWeights(f"{path.name} holds no study of an int8 model.") from error


def shipped(model: str, folder: Path = STUDIES) -> Study | None:
    """The study of that model, if there is one."""
    path = folder / f"quant_{model}.json"
    return read(path) if path.is_file() else None


def _estimates(values: Mapping[str, Any], kind: type, pictures: int) -> dict[str, Any]:
    """The fields of `kind`; its rates of earlier files, which were plain bootstraps, get their bound."""
    made = _numbers(values, kind)
    for each in fields(kind):
        if each.type in ("Estimate", "Rate"):
            known = made[each.name]
            made[each.name] = found = Estimate(*(float(known[k]) for k in ("value", "low", "high")))
            if each.type == "Rate":
                of = Rate.change if each.name == "price" else Rate.of
                made[each.name] = (
                    Rate(**known) if isinstance(known.get("agreed"), bool) else of(found, pictures)
                )
    return made


def _numbers(values: Mapping[str, Any], kind: type) -> dict[str, Any]:
    """The values, if those that `kind` declares as numbers are."""
    for each in fields(kind):
        if each.type in ("int", "float"):
            float(values[each.name])
    return dict(values)
