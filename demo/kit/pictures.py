"""The picture a visitor brings: one of the samples, or a file of theirs, decoded by the engine."""

from __future__ import annotations

import base64
import io
import os
import re
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from gradio.utils import get_upload_folder
from PIL import Image, ImageOps

from engine.core.errors import BadImage
from engine.data import quarantine
from engine.data.decode import decode
from engine.data.samples import Sample, load_sample, samples

THUMBNAIL = 144
PREVIEW = 640
SAMPLE = "sample:"
MOST_LETTERS = 40  # of a picture's name in a file's


def read(source: Any) -> Image.Image:
    """The picture behind `sample:ID` or an upload's path; raises BadImage, UnknownName.

    The value may come from a browser as it is: what is no upload is not opened, and an upload is
    decoded in quarantine first.
    """
    if isinstance(source, str) and source.startswith(SAMPLE):
        return load_sample(source.removeprefix(SAMPLE))
    path = _vetted(source)
    if not os.path.isfile(path):
        raise BadImage("The uploaded picture is no longer here.", "Upload it again.")
    quarantine.inspect([path])
    return decode(path)


def uploaded(data: Any) -> str:
    """The path of an upload as the browser or a client reported it; raises BadImage.

    Gradio vets the paths that are marked as files, but a request made by hand need not mark them.
    """
    return str(_vetted(data.get("path") if isinstance(data, dict) else None))


def name_of(source: str) -> str:
    """What a picture is called in file names: its sample's id, or the stem of the upload's name."""
    stem = source.removeprefix(SAMPLE) if source.startswith(SAMPLE) else Path(source).stem
    return re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-")[:MOST_LETTERS] or "picture"


def file_of(source: str) -> str:
    """A sample's id, or the name of the file that was uploaded."""
    return source.removeprefix(SAMPLE) if source.startswith(SAMPLE) else Path(source).name


def _vetted(path: Any) -> Path:
    """The path of an upload, wherever it is said to lie; raises BadImage where it is none."""
    if not isinstance(path, str) or not path:
        raise BadImage("There is no picture.", "Choose one of the samples or upload one.")
    try:
        real = Path(path).resolve()
        inside = real.is_relative_to(Path(get_upload_folder()).resolve())
    except (OSError, ValueError):  # a name of NULs, or longer than any file's
        inside = False
    if not inside:
        raise BadImage("This picture was not uploaded.", "Upload it first.")
    return Path(path)


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


def first() -> str:
    """The source of the first sample; empty where there is none."""
    return SAMPLE + listed()[0].id if listed() else ""


def sample(source: str) -> Sample | None:
    """The sample behind a source; None for a picture of the visitor's own."""
    by_id = {SAMPLE + each.id: each for each in listed()}
    return by_id.get(source)
