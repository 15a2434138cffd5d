"""The study of an int8 victim that ships: what a visit's few pictures cannot show, with its source.

`python -m engine claims quant FOLDER --model NAME --out FILE.json` writes it; the page reads it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engine.core.errors import CorruptWeights
from engine.evaluate.interval import Estimate

SCHEMA = "vit-adversarial-lab/quant-study/1"
STUDIES = Path(__file__).parents[2] / "assets" / "studies"


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
class Measured:
    """One set of pictures: outlier columns, % of multiplications outside int8, % of answers kept."""

    name: str
    columns: Estimate
    share: Estimate
    kept: Estimate


@dataclass(frozen=True)
class Defended:
    """One countermeasure: its share outside int8 under attack over the undefended one (`left`), what
    it costs in accuracy on clean pictures (`price`, points), its accuracy under attack (%), and the
    share that it promises never to exceed, if it does."""

    name: str
    left: Estimate
    price: Estimate
    attacked: Estimate
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
    caught: Estimate
    flagged: Estimate


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
        detected = found["detected"]
        return Study(
            About(**found["about"]),
            tuple(Measured(**_estimates(each)) for each in found["measured"]),
            tuple(Defended(**_estimates(each)) for each in found["defended"]),
            Detected(
                **{key: tuple(detected[key]) for key in ("false_alarms", "hits")},
                **_estimates(
                    {k: v for k, v in detected.items() if k not in ("false_alarms", "hits")}
                ),
            ),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorruptWeights(f"{path.name} holds no study of an int8 model.") from error


def shipped(model: str, folder: Path = STUDIES) -> Study | None:
    """The study of that model, if there is one."""
    path = folder / f"quant_{model}.json"
    return read(path) if path.is_file() else None


def _estimates(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: Estimate(**v) if isinstance(v, dict) else v for k, v in values.items()}
