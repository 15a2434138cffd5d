"""Exact pictures and compact arrays as JSON: what travels from the engine to the browser."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from typing import Any

import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from engine.core.figures import number
from engine.evaluate.timing import Timing

CODES = {torch.uint8: "u1", torch.uint16: "u2", torch.float16: "f2", torch.float32: "f4"}


def text(message: Mapping[str, Any]) -> str:
    """A message as the browser is sent it: what is no text, gradio edits in place there, read or not."""
    return json.dumps(message, separators=(",", ":"), allow_nan=False)


def together(*texts: str) -> str:
    """Messages, each as `text`, that come at once, in order."""
    return f"[{','.join(texts)}]"


def png(pixels: Tensor) -> str:
    """Pixels (3, y, x) uint8 as a base64 PNG: lossless, so the browser sees the picture itself."""
    buffer = io.BytesIO()
    image = Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
    image.save(buffer, "PNG", compress_level=4)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def png_of(pixels: Tensor, about: Mapping[str, Any]) -> str:
    """Pixels (3, y, x) uint8 as a base64 PNG to take away, which holds what it was made of as text."""
    told = PngInfo()
    for key, value in about.items():
        told.add_itxt(key, json.dumps(value, ensure_ascii=False))
    buffer = io.BytesIO()
    image = Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
    image.save(buffer, "PNG", pnginfo=told)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def png_change(pixels: Tensor, clean: Tensor) -> str:
    """A picture as the PNG of its change, (pixels - clean + 128) mod 256: as exact, half the size."""
    return png(pixels - clean + 128)


def pack(values: Tensor) -> dict[str, Any]:
    """A uint8, uint16, float16 or float32 tensor as type, shape and little-endian base64 bytes."""
    array = values.detach().cpu().contiguous().numpy()
    return {
        "type": CODES[values.dtype],
        "shape": list(values.shape),
        "data": base64.b64encode(array.astype(array.dtype.newbyteorder("<")).tobytes()).decode(
            "ascii"
        ),
    }


def pack_rows(rows: Tensor) -> dict[str, Any]:
    """Non-negative rows (..., n) in 8 bits, each with its own scale: row ~ values * scale.

    The error is at most half of 1/255 of the row's largest entry.
    """
    scale = rows.amax(-1).clamp_min(torch.finfo(torch.float32).tiny * 255) / 255
    values = (rows / scale.unsqueeze(-1)).round().to(torch.uint8)
    return {"values": pack(values), "scales": pack(scale.float())}


def shown(name: str) -> str:
    """A class name in words."""
    return name.replace("_", " ")


def rounded(values: Mapping[str, Any]) -> dict[str, Any]:
    """Every float of a mapping as a `number`."""
    return {k: number(v) if isinstance(v, float) else v for k, v in values.items()}


def milliseconds(each: Timing) -> dict[str, Any]:
    """What a pass took."""
    seconds = {"median": each.median, "low": each.low, "high": each.high}
    return {k: number(v * 1000) for k, v in seconds.items()} | {"rounds": each.rounds}
