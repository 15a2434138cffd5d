"""From whatever a visitor brings to the exact 8-bit pixels the model sees."""

from __future__ import annotations

import io
import re
import struct
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from engine.core.errors import BadImage

SMALLEST_SIDE = 16
MOST_PIXELS = 24_000_000
# Named, so that a stranger's bytes never reach Pillow's rarer readers (EPS starts Ghostscript).
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
# What 130 thousand mutated files made Pillow raise, and their kin. Anything else is a bug of ours.
_DAMAGE = (OSError, SyntaxError, ValueError, RuntimeError, EOFError, OverflowError, struct.error)
_KINDS = "Use a PNG, JPEG, WebP, GIF, BMP or TIFF picture."


def decode(source: bytes | Path | Image.Image) -> Image.Image:
    """The picture as 8-bit RGB, upright, or one sentence saying why not.

    EXIF orientation is applied; an animation gives its first frame; transparency is laid on
    white; 16-bit grey is scaled by 255 / 65535, never clipped; CMYK is converted without its
    colour profile (embedded profiles are ignored throughout).
    The size is judged from the header, before any pixel is decoded.

    Raises `BadImage`: no such file, not a picture, damaged or cut short, a side under
    `SMALLEST_SIDE` pixels, more than `MOST_PIXELS` pixels, 32-bit samples.
    """
    name = source.name if isinstance(source, Path) else "The picture"
    image = source if isinstance(source, Image.Image) else _open(source, name)
    _check_size(image.size, name)
    try:
        image.seek(0)
        image.load()
        upright = ImageOps.exif_transpose(image)
    except _DAMAGE as cause:
        raise BadImage(f"{name} is damaged or cut short.", "Save or download it again.") from cause
    return _rgb(upright, name)


def fit(image: Image.Image, size: int, crop: float = 1.0) -> Tensor:
    """The centre square of a decoded picture at the model's input size: uint8 `(3, size, size)`.

    The shorter side is resized to `size / crop` (bicubic, antialiased) and the centre cut out, in
    one resampling. Eight bits come out on purpose: `x / 255` is then exactly what a PNG stores.
    """
    width, height = image.size
    side = min(width, height) * size / int(size / crop)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    square = image.resize((size, size), Image.Resampling.BICUBIC, box=box)
    return torch.from_numpy(np.array(square)).permute(2, 0, 1).contiguous()


def _open(source: bytes | Path, name: str) -> Image.Image:
    if isinstance(source, Path) and not source.is_file():
        raise BadImage(f"There is no file {name}.", "Check the path.")
    try:
        stream = io.BytesIO(source) if isinstance(source, bytes) else source
        return Image.open(stream, formats=_FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as cause:
        # Pillow refuses before it gives the size away; its message alone tells the number.
        told = re.search(r"\d+", str(cause))
        count = f"{int(told[0]) / 1e6:.0f} million" if told else "far too many"
        raise _too_large(name, f"{count} pixels") from cause
    except _DAMAGE as cause:
        raise BadImage(f"{name} is not a picture that can be read.", _KINDS) from cause


def _check_size(size: tuple[int, int], name: str) -> None:
    width, height = size
    if min(size) < SMALLEST_SIDE:
        raise BadImage(
            f"{name} has {width} x {height} pixels, too few to show anything.",
            f"Each side needs at least {SMALLEST_SIDE} pixels.",
        )
    if width * height > MOST_PIXELS:
        raise _too_large(name, f"{width} x {height} pixels ({width * height / 1e6:.0f} million)")


def _too_large(name: str, what: str) -> BadImage:
    limit = MOST_PIXELS // 1_000_000
    return BadImage(f"{name} has {what}; the limit is {limit} million.", "Make it smaller first.")


def _rgb(image: Image.Image, name: str) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return _grey16(image, name).convert("RGB")
    if image.has_transparency_data:
        colour = image.convert("RGBA")
        paper = Image.new("RGBA", colour.size, "white")
        return Image.alpha_composite(paper, colour).convert("RGB")
    return image.convert("RGB")


def _grey16(image: Image.Image, name: str) -> Image.Image:
    samples = np.asarray(image)
    if image.mode == "F" or samples.min() < 0 or samples.max() > 65535:
        raise BadImage(
            f"{name} stores 32-bit samples, and what counts as white is not stated in it.",
            "Save it with 8 or 16 bits per channel.",
        )
    return Image.fromarray(np.rint(samples / 257.0).astype(np.uint8))
