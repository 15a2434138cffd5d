"""`python -m engine.data.render [--out DIR] [ID ...]`: draw the gallery's pictures as PNG files."""

from __future__ import annotations

import argparse
from pathlib import Path

from engine.data.render.scenes import PICTURES


def main() -> None:
    """Render the named pictures, or all of them, into `--out`."""
    parser = argparse.ArgumentParser(prog="python -m engine.data.render", description=__doc__)
    known = [picture.id for picture in PICTURES]
    parser.add_argument("ids", nargs="*", metavar="ID", help=f"one of {', '.join(known)}")
    parser.add_argument("--out", type=Path, default=Path("assets/samples"), metavar="DIR")
    chosen = parser.parse_args()
    if strangers := [name for name in chosen.ids if name not in known]:
        parser.error(f"there is no picture called {', '.join(strangers)}")
    chosen.out.mkdir(parents=True, exist_ok=True)
    for picture in PICTURES:
        if not chosen.ids or picture.id in chosen.ids:
            picture.render().save(chosen.out / f"{picture.id}.png", optimize=True)


if __name__ == "__main__":
    main()
