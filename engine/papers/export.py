"""What a paper's run on one picture was made of, as files that are taken away say it."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from PIL import Image
from torch import Tensor

from engine.attack.recipe import Recipe
from engine.attack.universal import Universal
from engine.core.knobs import knobs
from engine.model.zoo import Card


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
            trained = {f"trained_at_{key}": value for key, value in self.recipe.settings.items()}
            return {"eps": self.recipe.eps, "epochs": self.recipe.epochs, **trained}
        return {each.name: getattr(self.recipe, each.name) for each in knobs(type(self.recipe))}

    @property
    def origin(self) -> dict[str, Any]:
        """Picture, model, attack and seed as plain data."""
        return {
            "picture": asdict(self.picture),
            "model": {
                "name": self.card.name,
                "source": self.card.source,
                "sha256": self.card.sha256,
                "input_size": self.card.input_size,
            },
            "attack": {"name": self.attack, "settings": self.settings},
            "seed": self.seed,
        }

    @property
    def stem(self) -> str:
        """What the files are called: picture, model, attack, eps and seed."""
        parts = (self.picture.name, self.card.name, self.attack)
        plain = [
            "".join(c if c.isalnum() or c in "-_." else "_" for c in part)[:60] for part in parts
        ]
        return "-".join((*plain, f"eps{self.settings['eps'] * 255:g}", f"seed{self.seed}"))


def digest(pixels: Tensor) -> str:
    """SHA-256 of 8-bit pixels (3, y, x), row by row, RGB."""
    return hashlib.sha256(pixels.permute(1, 2, 0).contiguous().numpy().tobytes()).hexdigest()


def sheet(data: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], **more: Any) -> str:
    """Rows as CSV, each line with what the run of `data` (an `origin`) was made of, and `more`."""
    about = {
        "picture": data["picture"]["name"],
        "picture_sha256": data["picture"]["sha256"],
        "model": data["model"]["name"],
        "attack": data["attack"]["name"],
        "eps_255": round(data["attack"]["settings"]["eps"] * 255, 4),
        "steps": data["steps"]["done"],
        "seed": data["seed"],
        **more,
    }
    lines = [about | dict(row) for row in rows]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _tame(value) for key, value in line.items()} for line in lines)
    return out.getvalue()


def _tame(value: Any) -> Any:
    """A spreadsheet takes a cell that begins with one of these for a formula."""
    return (
        f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@")) else value
    )
