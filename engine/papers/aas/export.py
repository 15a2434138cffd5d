"""A report to take away: plain data that says what it was made of, and one CSV line for each block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from engine.core import figures
from engine.core.figures import number
from engine.evaluate.claim import table as markdown_table
from engine.papers.aas.compare import CLEAN, Report
from engine.papers.aas.masking import EDGES
from engine.papers.export import Made, digest, sheet

SCHEMA = "vit-adversarial-lab/masking/1"


def summary(found: Report, made: Made) -> dict[str, Any]:
    """The report as plain data, versioned."""
    return {
        "schema": SCHEMA,
        **made.origin,
        "victim": found.model,
        "scores_times": found.c,
        "steps": {"done": found.steps, "asked": found.asked, "of_each": made.settings["steps"]},
        "measured_on": "8-bit pixels, as saved",
        "sentence": found.sentence,
        "clean": {
            "answer": found.classes[found.answer],
            "label": found.classes[found.label],
            "probability": number(found.probability),
        },
        "factors": figures.table(found.factors),
        "distance_by_step_of_the_ascent": figures.table(found.path),
        "gradient_at_the_pixels": {
            **{f"norm_{_plain(name)}": number(float(n[-1])) for name, n in found.norms.items()},
            "cosine_with_float64": number(float(found.cosine[-1])),
            "cosine_with_scores_times_1": number(float(found.aligned[-1])),
        },
        "blocks": rows(found),
        "edges_of_bins": figures.table(EDGES),
        "rows_by_block_head_and_bin": {
            name: each.counts.tolist() for name, each in found.gaps.items()
        },
        "attacks": [
            {
                **asdict(each),
                "answer": found.classes[each.answer],
                "linf_255": found.linf[each.name],
                "pixels_sha256": digest(found.pixels[each.name]),
            }
            for each in found.outcomes
        ],
    }


def rows(found: Report) -> list[dict[str, Any]]:
    """Each block: leads on the clean picture, its factor (a mean over heads), gradients at scores."""
    gaps = found.gaps[CLEAN]
    factors = found.factors if found.factors.ndim == 1 else found.factors.mean(1)
    return [
        {
            "block": block + 1,
            "heads": heads,
            "largest_lead": number(float(gaps.largest[block, :heads].max())),
            **{
                f"share_{_plain(name)}": number(float(past[block, :heads].mean()))
                for name, past in gaps.past.items()
            },
            "factor": number(float(factors[block])),
            **{
                f"gradient_norm_{_plain(name)}": number(float(found.norms[name][block]))
                for name in found.norms
            },
            "cosine_with_float64": number(float(found.cosine[block])),
            "cosine_with_scores_times_1": number(float(found.aligned[block])),
        }
        for block, heads in enumerate(found.heads)
    ]


def table(data: Mapping[str, Any]) -> str:
    """The blocks of a `summary` as CSV, every line with what it was made of."""
    return sheet(data, data["blocks"], victim=data["victim"], scores_times=data["scores_times"])


def markdown(found: Report) -> str:
    """The report in words and tables: attacks, then blocks."""
    attacks = {
        "crafted by": [_called(each.title, each.factor) for each in found.outcomes],
        "fools the model": [_yes(each.fooled) for each in found.outcomes],
        "and the scaled one": [_yes(each.fooled_scaled) for each in found.outcomes],
        "answer": [found.classes[each.answer] for each in found.outcomes],
        "gradients": [str(each.gradients) for each in found.outcomes],
    }
    lines = rows(found)
    blocks = {
        "block": [str(each["block"]) for each in lines],
        "largest lead": [f"{each['largest_lead']:g}" for each in lines],
        "learned factor": [f"{each['factor']:.3g}" for each in lines],
        "gradient, as it is": [_short(each["gradient_norm_as_it_is"]) for each in lines],
        "scaled": [_short(each["gradient_norm_scaled"]) for each in lines],
        "cosine with float64": [_short(each["cosine_with_float64"]) for each in lines],
    }
    about = f"{found.model}, eps {255 * found.eps:g}/255\n\n{found.sentence}\n"
    return "\n".join((about, *map(markdown_table, (attacks, blocks))))


def _called(title: str, factor: float | None) -> str:
    return title if factor is None else f"{title}: {factor:.3g}"


def _plain(name: str) -> str:
    return name.replace(" ", "_")


def _short(value: float | None) -> str:
    return "none" if value is None else f"{value:.3g}"


def _yes(true: bool) -> str:
    return "yes" if true else "no"
