"""What is told of QuantAttack: what it costs, what helps against it, and what tells it."""

from __future__ import annotations

from collections.abc import Iterator

from engine.evaluate.claim import figure, table
from engine.papers.quant.findings import Findings
from engine.papers.told import ratio, studies, titles

COLUMNS = "outlier columns"
ABOUT = (
    "`python -m engine claims quant FOLDER --model NAME`, judged on the int8 model that really "
    "runs; a third of the photographs calibrates, the others are measured. Where all pictures "
    "agree, resampling them gives no width, and the exact bound stands. Times are of one CPU thread "
    "in eager float32 beside other work; the Cost page measures the machine that serves it."
)


def findings() -> Iterator[str]:
    """What QuantAttack did, a line for each model."""
    of = studies("quant", Findings)
    names = titles(of)
    about = [each.findings.about for each in of]
    rows = [{row.statement: row.measured for row in each.claims} for each in of]
    sets = [{its.name: its for its in each.findings.measured} for each in of]
    left = [{its.name: its.left for its in each.findings.defended} for each in of]
    times = [
        next(v for k, v in its.items() if k.startswith("time of the attacked")) for its in rows
    ]
    yield table(
        {
            "QuantAttack on": [names[each.model] for each in of],
            "photographs": [str(each.pictures) for each in about],
            "budget": [f"{255 * each.eps:g}/255" for each in about],
            "threshold": [f"{each.threshold:.3g}" for each in about],
            "outlier columns": [ratio(its[f"{COLUMNS}, QuantAttack / clean"]) for its in rows],
            "multiplications outside int8": [
                f"{its['clean'].share.value:.1f} → {its['quantattack'].share.value:.1f} %"
                for its in sets
            ],
            "time of a batch": [ratio(each) for each in times],
            "answers kept": [figure(its["quantattack"].kept, "%") for its in sets],
            "cost left by a budget of 1 %": [ratio(its["budget of 1 % per layer"]) for its in left],
        }
    )


def defences() -> str:
    """The countermeasures and the detector, model by model."""
    of = studies("quant", Findings)
    names = titles(of)
    lines = ["Countermeasures:\n"]
    rows = [(each, its) for each in of for its in each.findings.defended]
    lines.append(
        table(
            {
                "model": [names[each.model] for each, _ in rows],
                "countermeasure": [its.name for _, its in rows],
                "cost left under attack": [figure(its.left, "ratio") for _, its in rows],
                "change of accuracy": [figure(its.price, "points") for _, its in rows],
                "accuracy under attack": [figure(its.attacked, "%") for _, its in rows],
            }
        )
    )
    lines.append("The detector by count, calibrated on pictures set apart:\n")
    found = [(each, each.findings.detected) for each in of]
    lines.append(
        table(
            {
                "model": [names[each.model] for each, _ in found],
                "area under ROC": [figure(its.area, "area") for _, its in found],
                "limit": [f"{its.limit:g} columns" for _, its in found],
                "attacks caught": [figure(its.caught, "%") for _, its in found],
                "clean pictures flagged": [figure(its.flagged, "%") for _, its in found],
            }
        )
    )
    return "\n".join(lines)
