"""Where what is shipped with the code lies: models, samples, universal perturbations, studies."""

from __future__ import annotations

from pathlib import Path

_ENGINE = Path(__file__).resolve().parents[1]


def _folder() -> Path:
    """Inside the engine where it was installed (setup.py puts it there), beside it in a checkout."""
    inside = _ENGINE / "assets"
    return inside if inside.is_dir() else _ENGINE.parent / "assets"


ASSETS = _folder()
