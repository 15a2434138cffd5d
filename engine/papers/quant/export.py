"""A report to take away: plain data that says what it was made of, and one CSV line for each layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from engine.alter.quantize.cost import Cost
from engine.evaluate.claim import table as markdown_table
from engine.papers.export import Made, digest, sheet
from engine.papers.quant.compare import ATTACKED, CLEAN, NOISE, Report, counts

SCHEMA = "vit-adversarial-lab/cost/1"
SEEN = {CLEAN: "clean", ATTACKED: "attacked", NOISE: "noise"}


def summary(found: Report, made: Made) -> dict[str, Any]:
    """The report as plain data, versioned. Costs are computed, times are measured."""
    return {
        "schema": SCHEMA,
        **made.origin,
        "steps": {"done": found.steps, "asked": found.asked},
        "threshold": asdict(found.threshold),
        "measured_on": "8-bit pixels, as saved, each picture alone",
        "linf_255": found.linf,
        "pictures": {words: _seen(found, name) for name, words in SEEN.items()},
        "layers": rows(found),
        "columns_by_step": [list(each) for each in found.path],
        "columns_of_a_batch": {
            str(size): {
                "all_clean": found.batch_columns(size, CLEAN),
                "one_attacked": found.batch_columns(size, ATTACKED),
            }
            for size in found.merged
        },
        "countermeasures": [asdict(each) for each in found.defences],
        "seconds_of_a_pass": found.times
        and {SEEN.get(name, name): asdict(each) for name, each in found.times.items()},
        "machine": found.machine and asdict(found.machine),
        "energy": found.energy
        and {
            "joules": {SEEN.get(name, name): value for name, value in found.energy.items()},
            "measured": found.metered,
            "meter": found.meter,
        },
    }


def rows(found: Report) -> list[dict[str, Any]]:
    """Each layer: where it is, what it multiplies, and its outlier columns in the int8 model."""
    by = {w: counts(found.seen[n].columns, found.threshold.value) for n, w in SEEN.items()}
    return [
        {
            "block": layer.block + 1,
            "layer": layer.slot,
            "columns": layer.shape.k,
            "multiplications_of_a_column": layer.shape.column,
            **{f"outlier_columns_{words}": int(by[words][at]) for words in by},
        }
        for at, layer in enumerate(found.layers)
    ]


def table(data: Mapping[str, Any]) -> str:
    """The layers of a `summary` as CSV, every line with what it was made of."""
    return sheet(data, data["layers"], threshold=data["threshold"]["value"])


def markdown(found: Report) -> str:
    """The report in two tables: the picture as it was, attacked and under noise, then defended."""
    names = list(SEEN)
    times = found.times
    pictures = {
        "picture": [SEEN[name] for name in names],
        "answer": [found.classes[found.seen[name].answer] for name in names],
        "outlier columns": [str(found.columns(name)) for name in names],
        "multiplications outside int8": [f"{found.share(name):.1%}" for name in names],
        "time of a pass": [
            f"{times[name].median * 1000:.1f} ms" if times else "" for name in names
        ],
    }
    defences = {
        "countermeasure": [each.name for each in found.defences],
        "outside int8, clean": [f"{each.clean:.1%}" for each in found.defences],
        "outside int8, attacked": [f"{each.attacked:.1%}" for each in found.defences],
        "answer kept": ["yes" if each.kept else "no" for each in found.defences],
    }
    about = (
        f"{found.model}, threshold {found.threshold.value:.4g}, {found.steps} steps, changed by at "
        f"most {found.linf}/255"
    )
    return "\n".join((f"{about}\n", markdown_table(pictures), markdown_table(defences)))


def _seen(found: Report, name: str) -> dict[str, Any]:
    seen = found.seen[name]
    return {
        "answer": found.classes[seen.answer],
        "probability": seen.probability,
        "outlier_columns_int8_model": found.columns(name),
        "outlier_columns_float_model": seen.float_columns,
        "outlier_columns_as_hugging_face_counts": found.hf_columns(name),
        "share_of_multiplications_outside_int8": found.share(name),
        "cost": _cost(seen.cost),
        "cost_compact": _cost(seen.compact),
        "pixels_sha256": digest(seen.pixels),
    }


def _cost(each: Cost) -> dict[str, int]:
    return {
        "multiplications_int8": each.macs8,
        "multiplications_16_bit": each.macs16,
        "bytes_gathered": each.moved,
    }
