"""The picture a visitor brings: one of the samples, or a file of theirs, decoded by the engine."""

from __future__ import annotations

import base64
import io
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from gradio.utils import get_upload_folder
from PIL import Image, ImageOps

from engine.core.errors import BadImage
from engine.data.decode import decode
from engine.data.samples import Sample, load_sample, samples

THUMBNAIL = 144
PREVIEW = 640
SAMPLE = "sample:"


def read(source: str) -> Image.Image:
    """The picture behind `sample:ID` or an uploaded file's path; raises BadImage, UnknownName."""
    if source.startswith(SAMPLE):
        return load_sample(source.removeprefix(SAMPLE))
    path = Path(source)
    if not path.is_file():
        raise BadImage("The uploaded picture is no longer here.", "Upload it again.")
    return decode(path.read_bytes())


def uploaded(data: Any) -> str:
    """The path of an upload as the browser or a client reported it; raises BadImage.

    Gradio vets the paths that are marked as files, but a request made by hand need not mark them.
    """
    path = data.get("path") if isinstance(data, dict) else None
    if not isinstance(path, str):
        raise BadImage("There is no picture.", "Choose one of the samples or upload one.")
    if not Path(path).resolve().is_relative_to(Path(get_upload_folder()).resolve()):
        raise BadImage("This picture was not uploaded.", "Upload it first.")
    return path


def preview(image: Image.Image) -> Image.Image:
    """The decoded picture, small enough to be shown in the recipe column."""
    small = image.copy()
    small.thumbnail((PREVIEW, PREVIEW))
    return small


def listed() -> tuple[Sample, ...]:
    """The samples whose files are there."""
    return tuple(each for each in samples() if each.path.is_file())


@cache
def strip(chosen: str = "") -> str:
    """The samples as a row of buttons, the chosen one pressed."""
    return "".join(_button(each, each.id == chosen) for each in listed())


def _button(sample: Sample, pressed: bool) -> str:
    title = escape(sample.title)
    credit = escape(f"{sample.title}. {sample.credit}. {sample.licence}.")
    return (
        f'<button type="button" data-sample="{escape(sample.id)}" title="{credit}" '
        f'aria-label="{title}" aria-pressed="{str(pressed).lower()}">'
        f'<img alt="" src="data:image/png;base64,{_thumbnail(sample.id)}"></button>'
    )


@cache
def _thumbnail(id: str) -> str:
    small = ImageOps.fit(load_sample(id), (THUMBNAIL, THUMBNAIL))
    data = io.BytesIO()
    small.quantize(128).save(data, "PNG", optimize=True)
    return base64.b64encode(data.getvalue()).decode()
