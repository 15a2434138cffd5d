"""Pictures that make trouble, made here from nothing."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image


def picture(side: int = 96) -> Image.Image:
    """A smooth colourful square, upright: red at its top left corner."""
    y, x = np.mgrid[0:side, 0:side] / (side - 1)
    planes = np.stack((1 - np.hypot(x, y) / 1.5, x, y), -1)
    return Image.fromarray((planes.clip(0, 1) * 255).astype(np.uint8))


def saved(image: Image.Image, kind: str, **settings: object) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **settings)
    return data.getvalue()


def bomb(side: int = 30_000) -> bytes:
    """A valid black-and-white PNG of side x side pixels in about a hundred kilobytes."""
    packer = zlib.compressobj(9)
    row = bytes(1 + side // 8)
    pixels = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in parts
    )


def rotated() -> bytes:
    exif = Image.Exif()
    exif[274] = 6
    return saved(picture().crop((0, 0, 96, 64)), "JPEG", exif=exif)


def grey16() -> bytes:
    levels = np.asarray(picture().convert("L")).astype(np.uint16) * 257
    return saved(Image.fromarray(levels), "PNG")


def refused() -> dict[str, tuple[str, bytes, str]]:
    """name -> (media type, content, words of the sentence that refuses it)."""
    jpeg = saved(picture(), "JPEG")
    return {
        "words.txt": ("text/plain", b"hello", "Invalid file type"),
        "words.png": ("image/png", b"hello", "not a picture that can be read"),
        "cut.jpg": ("image/jpeg", jpeg[:-200], "damaged or cut short"),
        "one.png": ("image/png", saved(picture().resize((1, 1)), "PNG"), "1 x 1 pixels"),
        "bomb.png": ("image/png", bomb(), "900 million pixels"),
    }


def accepted() -> dict[str, tuple[str, bytes]]:
    """name -> (media type, content) of pictures that are odd but fine."""
    palette = picture().convert("P")
    turned = palette.rotate(180)
    return {
        "cmyk.jpg": ("image/jpeg", saved(picture().convert("CMYK"), "JPEG")),
        "grey16.png": ("image/png", grey16()),
        "palette.png": ("image/png", saved(palette, "PNG", transparency=3)),
        "moving.gif": (
            "image/gif",
            saved(turned, "GIF", save_all=True, append_images=[palette]),
        ),
        "turned.jpg": ("image/jpeg", rotated()),
    }
