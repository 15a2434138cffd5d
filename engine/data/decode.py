"""From whatever a visitor brings to the exact 8-bit pixels the model sees.

Torch is imported by `fit` alone: the process that `quarantine` starts decodes and starts fast.
"""

from __future__ import annotations

import io
import os
import re
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

from engine.core.errors import BadImage

if TYPE_CHECKING:
    from torch import Tensor

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".avif"}
SMALLEST_SIDE = 16
MOST_PIXELS = 24_000_000
MOST_BYTES = 80 << 20  # `MOST_PIXELS` of 24 bits, not compressed at all, have 69
MOST_SCANS = 100  # encoders write ten; each costs a pass over all pixels in only a dozen bytes
MOST_SEGMENTS = 3000  # of a JPEG: twice as many as 64 KB each make up `MOST_BYTES`
# Named, so that a stranger's bytes never reach Pillow's rarer readers (EPS starts Ghostscript).
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
# What 130 thousand mutated files made Pillow raise, and their kin. Anything else is a bug of ours.
_DAMAGE = (OSError, SyntaxError, ValueError, RuntimeError, EOFError, OverflowError, struct.error)
_BOMB = (Image.DecompressionBombError, Image.DecompressionBombWarning)
_JPEG = b"\xff\xd8"
# Among a scan's data 0xFF is followed by 0 or by a restart (0xD0 to 0xD7).
_MARKER = re.compile(rb"\xff([\x02-\xcf\xd8-\xfe])")
_KINDS = "Use a PNG, JPEG, WebP, GIF, BMP or TIFF picture."


def decode(source: bytes | Path | Image.Image) -> Image.Image:
    """The picture as 8-bit RGB, upright, or one sentence saying why not.

    EXIF orientation is applied; an animation gives its first frame; transparency is laid on
    white; 16-bit grey is scaled by 255 / 65535, never clipped; CMYK is converted without its
    colour profile (embedded profiles are ignored throughout).
    Pixels, bytes and scans are counted before any pixel is decoded.

    Raises `BadImage`: no such file, not a picture, damaged or cut short, a side under
    `SMALLEST_SIDE` pixels, more than `MOST_PIXELS` pixels, `MOST_BYTES`, `MOST_SCANS` or
    `MOST_SEGMENTS`, 32-bit samples.
    """
    if isinstance(source, Image.Image):
        return _rgb(_upright(source, "The picture", ours=False), "The picture")
    name = brief(source.name) if isinstance(source, Path) else "The picture"
    with _open(source, name) as image:
        return _rgb(_upright(image, name, ours=True), name)


def brief(name: str) -> str:
    """A stranger's name for a file, short enough to stand in a sentence."""
    return name if len(name) <= 80 else f"{name[:38]}...{name[-38:]}"


def fit(image: Image.Image, size: int, crop: float = 1.0) -> Tensor:
    """The centre square of a decoded picture at the model's input size: uint8 `(3, size, size)`.

    The shorter side is resized to `size / crop` (bicubic, antialiased) and the centre cut out, in
    one resampling. Eight bits come out on purpose: `x / 255` is then exactly what a PNG stores.
    """
    import torch

    width, height = image.size
    side = min(width, height) * size / int(size / crop)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    square = image.resize((size, size), Image.Resampling.BICUBIC, box=box)
    return torch.from_numpy(np.array(square)).permute(2, 0, 1).contiguous()


def _open(source: bytes | Path, name: str) -> Image.Image:
    if isinstance(source, Path) and not os.path.isfile(source):  # is_file raises at a long name
        raise BadImage(f"There is no file {name}.", "Check the path.")
    try:
        content = source if isinstance(source, bytes) else _read(source, name)
        if content.startswith(_JPEG):
            _check_jpeg(content, name)
        return Image.open(io.BytesIO(content), formats=_FORMATS)
    except _BOMB as cause:
        # Pillow refuses before it gives the size away; its message alone tells the number.
        told = re.search(r"\d+", str(cause))
        count = f"{int(told[0]) / 1e6:.0f} million" if told else "far too many"
        raise _too_large(name, f"{count} pixels") from cause
    except _DAMAGE as cause:
        raise BadImage(f"{name} is not a picture that can be read.", _KINDS) from cause


def _read(path: Path, name: str) -> bytes:
    size = path.stat().st_size
    if size > MOST_BYTES:
        limit = MOST_BYTES >> 20
        raise BadImage(
            f"{name} has {size >> 20} MB; the limit is {limit}.", "Make it smaller first."
        )
    return path.read_bytes()


def _check_jpeg(content: bytes, name: str) -> None:
    """Raise BadImage where a decoder would go over all pixels, or over its notes, all too often."""
    place = scans = segments = 0
    while (marker := _MARKER.search(content, place)) and marker[1] != b"\xd9":
        segments += 1
        scans += marker[1] == b"\xda"
        if scans > MOST_SCANS or segments > MOST_SEGMENTS:
            what = f"{MOST_SCANS} scans" if scans > MOST_SCANS else f"{MOST_SEGMENTS} segments"
            raise BadImage(f"{name} is a JPEG of more than {what}.", "Save it again.")
        place = marker.end()
        if marker[1] != b"\xd8":  # the start alone has no length; what is in a segment is skipped
            place += int.from_bytes(content[place : place + 2])


def _upright(image: Image.Image, name: str, ours: bool) -> Image.Image:
    """The loaded first frame, turned in place where the picture is ours: a copy is 100 MB."""
    _check_size(image.size, name)
    try:
        image.seek(0)
        image.load()
        image = image if ours else image.copy()
        ImageOps.exif_transpose(image, in_place=True)
    except _BOMB as cause:
        raise _too_large(name, "far too many pixels") from cause
    except _DAMAGE as cause:
        raise BadImage(f"{name} is damaged or cut short.", "Save or download it again.") from cause
    return image


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
        paper = Image.new("RGB", colour.size, "white")
        paper.paste(colour, mask=colour)
        return paper
    return image.convert("RGB")


def _grey16(image: Image.Image, name: str) -> Image.Image:
    samples = np.asarray(image)
    if image.mode == "F" or samples.min() < 0 or samples.max() > 65535:
        raise BadImage(
            f"{name} stores 32-bit samples, and what counts as white is not stated in it.",
            "Save it with 8 or 16 bits per channel.",
        )
    return Image.fromarray(np.rint(samples / 257.0).astype(np.uint8))
