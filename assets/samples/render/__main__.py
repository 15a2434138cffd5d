"""`python -m assets.samples.render [--out DIR] [ID ...]`: draw the gallery's pictures as PNG files."""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

from assets.samples.render.scenes import PICTURES

MOST_BYTES = 236_000


def main() -> None:
    """Render the named pictures, or all of them, into `--out`."""
    parser = argparse.ArgumentParser(prog="python -m assets.samples.render", description=__doc__)
    known = [picture.id for picture in PICTURES]
    parser.add_argument("ids", nargs="*", metavar="ID", help=f"one of {', '.join(known)}")
    parser.add_argument("--out", type=Path, default=Path("assets/samples"), metavar="DIR")
    chosen = parser.parse_args()
    if strangers := [name for name in chosen.ids if name not in known]:
        parser.error(f"there is no picture called {', '.join(strangers)}")
    chosen.out.mkdir(parents=True, exist_ok=True)
    for picture in PICTURES:
        if not chosen.ids or picture.id in chosen.ids:
            save(picture.render(), chosen.out / f"{picture.id}.png")


def save(picture: Image.Image, path: Path) -> None:
    """As PNG; a picture too busy for `MOST_BYTES` keeps 256 colours."""
    picture.save(path, optimize=True)
    if path.stat().st_size > MOST_BYTES:
        picture.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main()
