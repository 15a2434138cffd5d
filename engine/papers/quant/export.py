"""A report to take away: plain data that says what it was made of, and one CSV line for each layer."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from PIL import Image

from engine.alter.quantize.cost import Cost
from engine.attack.recipe import Recipe
from engine.attack.universal import Universal
from engine.core.knobs import knobs
from engine.evaluate.claim import table as markdown_table
from engine.model.zoo import Card
from engine.papers.quant.compare import ATTACKED, CLEAN, NOISE, Report, counts

SCHEMA = "vit-adversarial-lab/cost/1"
SEEN = {CLEAN: "clean", ATTACKED: "attacked", NOISE: "noise"}


@dataclass(frozen=True)
class Source:
    """The picture that was attacked: its name, and the SHA-256 of its decoded 8-bit RGB pixels, row
    by row, at its own size."""

    name: str
    width: int
    height: int
    sha256: str

    @staticmethod
    def of(name: str, image: Image.Image) -> Source:
        plain = image.convert("RGB")
        return Source(name, *plain.size, hashlib.sha256(plain.tobytes()).hexdigest())


@dataclass(frozen=True)
class Made:
    """What a report was made of."""

    picture: Source
    card: Card
    attack: str
    recipe: Recipe | Universal | None
    seed: int

    @property
    def settings(self) -> dict[str, Any]:
        """Every knob of the attack; a budget of 0 has none."""
        if self.recipe is None:
            return {"eps": 0.0}
        if isinstance(self.recipe, Universal):
            return {
                "eps": self.recipe.eps,
                "epochs": self.recipe.epochs,
                "trained_at_threshold": self.recipe.threshold,
            }
        return {each.name: getattr(self.recipe, each.name) for each in knobs(type(self.recipe))}


def summary(found: Report, made: Made) -> dict[str, Any]:
    """The report as plain data, versioned. Costs are computed, times are measured."""
    return {
        "schema": SCHEMA,
        "picture": asdict(made.picture),
        "model": {
            "name": made.card.name,
            "source": made.card.source,
            "sha256": made.card.sha256,
            "input_size": made.card.input_size,
        },
        "attack": {"name": made.attack, "settings": made.settings},
        "seed": made.seed,
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
    about = {
        "picture": data["picture"]["name"],
        "picture_sha256": data["picture"]["sha256"],
        "model": data["model"]["name"],
        "attack": data["attack"]["name"],
        "eps_255": round(data["attack"]["settings"]["eps"] * 255, 4),
        "steps": data["steps"]["done"],
        "seed": data["seed"],
        "threshold": data["threshold"]["value"],
    }
    lines = [about | layer for layer in data["layers"]]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _tame(value) for key, value in line.items()} for line in lines)
    return out.getvalue()


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


def stem(made: Made) -> str:
    """What the files are called: picture, model, attack, eps and seed."""
    parts = (made.picture.name, made.card.name, made.attack)
    plain = ["".join(c if c.isalnum() or c in "-_." else "_" for c in part)[:60] for part in parts]
    return "-".join((*plain, f"eps{made.settings['eps'] * 255:g}", f"seed{made.seed}"))


def _seen(found: Report, name: str) -> dict[str, Any]:
    seen = found.seen[name]
    pixels = seen.pixels.permute(1, 2, 0).contiguous()
    return {
        "answer": found.classes[seen.answer],
        "probability": seen.probability,
        "outlier_columns_int8_model": found.columns(name),
        "outlier_columns_float_model": seen.float_columns,
        "outlier_columns_as_hugging_face_counts": found.hf_columns(name),
        "share_of_multiplications_outside_int8": found.share(name),
        "cost": _cost(seen.cost),
        "cost_compact": _cost(seen.compact),
        "pixels_sha256": hashlib.sha256(pixels.numpy().tobytes()).hexdigest(),
    }


def _cost(each: Cost) -> dict[str, int]:
    return {
        "multiplications_int8": each.macs8,
        "multiplications_16_bit": each.macs16,
        "bytes_gathered": each.moved,
    }


def _tame(value: Any) -> Any:
    """A spreadsheet takes a cell that begins with one of these for a formula."""
    return (
        f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@")) else value
    )
