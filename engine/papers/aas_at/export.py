"""A report to take away: plain data that says what it was made of, one CSV line for each budget."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.core.figures import number
from engine.evaluate.claim import table as markdown_table
from engine.evaluate.transfer import bare
from engine.model import zoo
from engine.papers.aas_at.compare import Report, Stand, Try
from engine.papers.export import Made, digest, sheet

SCHEMA = "vit-adversarial-lab/withstood/1"


def summary(found: Report, made: Made, weights: Path | None = None) -> dict[str, Any]:
    """The report as plain data, versioned; the attack is as at the largest budget."""
    return {
        "schema": SCHEMA,
        **made.origin,
        "measured_on": "8-bit pixels, as saved; a budget is tried where no smaller one has fooled",
        "budgets_255": list(found.ladder),
        "tried_to_255": found.eps,
        "finished": found.whole,
        "models": [_stand(each, weights) for each in found.stands],
    }


def _stand(each: Stand, weights: Path | None) -> dict[str, Any]:
    of, lent = each.model, each.borrowed
    card = zoo.card(bare(of.name), weights)
    return {
        "name": of.name,
        "title": of.title,
        "role": of.role,
        "sha256": card.sha256,
        "class_attacked": of.victim.spec.classes[each.label],
        "falls_at_255": each.falls,
        "fooled_by_a_picture_made_on": lent and {"title": lent.maker, "eps_255": lent.eps},
        "tries": [_try(it, each) for it in each.tries],
    }


def _try(it: Try, of: Stand) -> dict[str, Any]:
    return {
        "eps_255": it.eps,
        "steps": it.steps,
        "answer": of.model.victim.spec.classes[it.answer],
        "probability": number(it.probability),
        "fooled": it.fooled,
        "sha256": digest(it.pixels),
    }


def table(data: Mapping[str, Any]) -> str:
    """The tries of a `summary` as CSV, every line with what it was made of."""
    rows = [
        {"model": each["name"], "role": each["role"], "class": each["class_attacked"], **it}
        for each in data["models"]
        for it in each["tries"]
    ]
    about = {"model": {"name": ""}, "steps": {"done": 0}}  # every line has its own
    return sheet({**data, **about}, rows)


def markdown(found: Report) -> str:
    """The report as a table: a model a line."""
    of = found.stands
    return markdown_table(
        {
            "model": [each.model.title for each in of],
            "answer": [each.model.victim.spec.classes[each.tries[0].answer] for each in of],
            "falls at": [fall(each, found) for each in of],
            "then answers": [
                each.model.victim.spec.classes[each.tries[-1].answer] if each.falls else ""
                for each in of
            ],
            "fooled by a picture made on": [
                f"{each.borrowed.maker} at {each.borrowed.eps}/255" if each.borrowed else ""
                for each in of
            ],
        }
    )


def fall(each: Stand, found: Report) -> str:
    """Where a model falls, in words."""
    if each.falls is None:
        return f"stands at {found.eps}/255"
    return f"{each.falls}/255" if each.falls else "wrong unattacked"
